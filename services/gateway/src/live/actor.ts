import { type Actor, type CallContext, rootContext } from '@skein/rpc';
import type { Principal } from '../ports.ts';

/** A device as clients name it. */
export interface DeviceName {
  readonly id: string;
  readonly platform: string;
  readonly name: string;
}

/** The person and device behind a connection, as calls carry them. */
export const actorOf = (principal: Principal, device: DeviceName): Actor => ({
  userId: principal.userId,
  ...(principal.sessionId === undefined ? {} : { sessionId: principal.sessionId }),
  ...(principal.tokenId === undefined ? {} : { tokenId: principal.tokenId }),
  scopes: principal.scopes,
  deviceId: device.id,
  platform: device.platform,
});

/** A call made for a connection. */
export const callFor = (
  actor: Actor,
  timeoutMs: number,
  options: { readonly signal?: AbortSignal; readonly idempotencyKey?: string } = {},
): CallContext => rootContext({ actor, timeoutMs, ...options });
