import { AppError, type FieldError } from '@skein/contracts';
import type { Clock } from '@skein/service-kit';
import { deviceFaults, deviceLimits } from '../domain/login-place.ts';
import type { EndReason } from '../domain/refresh-family.ts';
import type { ApiTokenFilter, Call, LoginPrincipal, SessionFilter, Store } from './ports.ts';

interface Deps {
  readonly store: Store;
  readonly clock: Clock;
  /** Tells watchers in this process that a login has ended. */
  readonly revoked: () => void;
}

/** Logins, and API tokens, that one call may name. */
const maxNamed = 200;

const end = async (
  { store, clock, revoked }: Deps,
  which: { readonly sessions: SessionFilter; readonly tokens?: ApiTokenFilter | undefined },
  reason: EndReason,
  call: Call,
): Promise<void> => {
  const nowMs = clock.now();
  await store.transaction(async ({ sessions, apiTokens, revocations }) => {
    const ended = await sessions.end(which.sessions, reason, nowMs);
    const tokens = which.tokens ? await apiTokens.end(which.tokens, nowMs) : [];
    await revocations.append(
      [...ended.map((sessionId) => ({ sessionId })), ...tokens.map((tokenId) => ({ tokenId }))],
      nowMs,
    );
  }, call.signal);
  revoked();
};

/** How far signing out goes. */
export interface LogoutScope {
  readonly everywhere: boolean;
  /** With `everywhere`: the API tokens too. */
  readonly tokens: boolean;
}

/**
 * Ends the login of the caller, or every login of its person, who may end all of their API tokens along with them.
 * Ending what has ended is fine.
 */
export const logout =
  (deps: Deps) =>
  async (
    { userId, sessionId }: LoginPrincipal,
    { everywhere, tokens }: LogoutScope,
    call: Call,
  ): Promise<void> => {
    if (tokens && !everywhere)
      throw new AppError('invalid_request', undefined, {
        errors: [{ path: 'tokens', message: 'goes with everywhere' }],
      });
    const sessions = everywhere ? { userId, keep: 0 } : { userId, sessionId };
    return end(deps, { sessions, tokens: tokens ? { userId, all: true } : undefined }, 'logout', call);
  };

/** What a device is known by: the id it may have signed in with, and what it was seen with. */
export interface DeviceLogins {
  /** May be empty when something else is named. */
  readonly deviceId: string;
  readonly sessionIds: readonly string[];
  readonly tokenIds: readonly string[];
}

const faultsOf = ({ deviceId, sessionIds, tokenIds }: DeviceLogins): FieldError[] => {
  const errors: FieldError[] = [];
  const nothing = deviceId === '' && sessionIds.length + tokenIds.length === 0;
  if (nothing || deviceFaults({ id: deviceId, platform: '', name: '' }).length > 0)
    errors.push({ path: 'deviceId', message: `must have 1 to ${deviceLimits.id} printable characters` });
  for (const [path, ids] of Object.entries({ sessionIds, tokenIds }))
    if (ids.length > maxNamed) errors.push({ path, message: `must have at most ${maxNamed} entries` });
  return errors;
};

/**
 * Ends every login of the caller's person that was made from a device or is named, and the API tokens that are named.
 * Ids of other people change nothing.
 */
export const revokeDevice =
  (deps: Deps) =>
  async ({ userId }: LoginPrincipal, device: DeviceLogins, call: Call): Promise<void> => {
    const errors = faultsOf(device);
    if (errors.length > 0) throw new AppError('invalid_request', undefined, { errors });
    const { deviceId, sessionIds, tokenIds } = device;
    const sessions = { userId, deviceId, sessionIds };
    return end(deps, { sessions, tokens: { userId, ids: tokenIds } }, 'device_revoked', call);
  };
