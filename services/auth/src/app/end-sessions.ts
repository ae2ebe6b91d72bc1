import { AppError } from '@skein/contracts';
import type { Clock } from '@skein/service-kit';
import { deviceFaults, deviceLimits } from '../domain/login-place.ts';
import type { EndReason } from '../domain/refresh-family.ts';
import type { Call, Principal, SessionFilter, Store } from './ports.ts';

interface Deps {
  readonly store: Store;
  readonly clock: Clock;
  /** Tells watchers in this process that a login has ended. */
  readonly revoked: () => void;
}

const end = async (
  { store, clock, revoked }: Deps,
  which: SessionFilter,
  reason: EndReason,
  call: Call,
): Promise<void> => {
  const nowMs = clock.now();
  await store.transaction(async ({ sessions, revocations }) => {
    const ended = await sessions.end(which, reason, nowMs);
    await revocations.append(
      ended.map((sessionId) => ({ sessionId })),
      nowMs,
    );
  }, call.signal);
  revoked();
};

/** Ends the login of the caller, or every login of its person. Ending what has ended is fine. */
export const logout =
  (deps: Deps) =>
  async ({ userId, sessionId }: Principal, everywhere: boolean, call: Call): Promise<void> => {
    if (everywhere) return end(deps, { userId, keep: 0 }, 'logout', call);
    if (sessionId === undefined)
      throw new AppError('forbidden', 'An API token has no login to end; revoke the token instead');
    return end(deps, { userId, sessionId }, 'logout', call);
  };

/** Ends every login of the caller's person that was made from a device. */
export const revokeDevice =
  (deps: Deps) =>
  async ({ userId }: Principal, deviceId: string, call: Call): Promise<void> => {
    const faults = deviceFaults({ id: deviceId, platform: '', name: '' });
    if (deviceId === '' || faults.length > 0)
      throw new AppError('invalid_request', undefined, {
        errors: [{ path: 'deviceId', message: `must have 1 to ${deviceLimits.id} printable characters` }],
      });
    return end(deps, { userId, deviceId }, 'device_revoked', call);
  };
