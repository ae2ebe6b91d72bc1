import { AppError, type syncV1 } from '@skein/contracts';
import type { Actor, CallContext } from '@skein/rpc';
import { currentTraceparent } from '@skein/telemetry';
import type { Call, DeviceInfo, Login } from '../app/ports.ts';
import type { TurnCall } from '../app/turns.ts';
import { checkedText, deviceNameBytes, nameBytes } from '../app/validate.ts';

/** A device as it introduces itself, checked. */
export const deviceOf = (device: syncV1.Device | undefined): DeviceInfo | undefined =>
  device && device.id !== ''
    ? {
        id: checkedText('device.id', device.id, { max: nameBytes }),
        platform: checkedText('device.platform', device.platform || 'unknown', { max: nameBytes }),
        name: checkedText('device.name', device.name, { min: 0, max: deviceNameBytes }),
      }
    : undefined;

/** The device a call cannot do without. */
export const requiredDevice = (device: syncV1.Device | undefined): DeviceInfo => {
  const known = deviceOf(device);
  if (!known)
    throw new AppError('invalid_request', 'device.id is required', {
      errors: [{ path: 'device.id', message: 'is required' }],
    });
  return known;
};

const loginOf = ({ sessionId, tokenId }: Actor): Login | undefined => {
  if (sessionId) return { kind: 'session', id: sessionId };
  return tokenId ? { kind: 'token', id: tokenId } : undefined;
};

/** For whom a call is made. Errors: `unauthenticated` when it carries no person. */
export const callOf = (ctx: CallContext, origin?: syncV1.Origin | undefined): Call => {
  const { actor } = ctx;
  if (!actor) throw new AppError('unauthenticated', 'This call needs a person to act for');
  const device = deviceOf(origin?.device);
  return {
    userId: actor.userId,
    login: loginOf(actor),
    device,
    platform: device?.platform ?? actor.platform ?? 'unknown',
    signal: ctx.signal,
    correlationId: ctx.correlationId,
    traceparent: currentTraceparent(),
    idempotencyKey: ctx.idempotencyKey,
  };
};

/** A call without a person. */
export const serviceCallOf = (ctx: CallContext): TurnCall => ({
  signal: ctx.signal,
  correlationId: ctx.correlationId,
  traceparent: currentTraceparent(),
});
