import { type Device, isUnusual, placeOf, unknownPlatform } from '../domain/login-place.ts';
import { idleExpiry, refreshLifetime } from '../domain/refresh-family.ts';
import type { Call, Fact, Repositories, Secrets, Session } from './ports.ts';

/** More logins than this at once and the ones not used for longest end: nobody has so many devices. */
export const maxSessions = 100;

/** What opening a login needs to be told. */
export interface NewSession {
  readonly userId: string;
  readonly device: Device;
  readonly remoteAddress: string;
  readonly nowMs: number;
  /** Set when the account was made in the same transaction. */
  readonly registering: boolean;
}

/**
 * Opens a login within a transaction: the session, its first refresh token, what is now known of the place, and
 * the fact `user.login` for the outbox; after a registration also its saga, which tells `user.registered`.
 */
export const openSession = async (
  { sessions, refreshTokens, places, revocations, outbox, registrations }: Repositories,
  { newId, secrets }: { newId: () => string; secrets: Secrets },
  { userId, device, remoteAddress, nowMs, registering }: NewSession,
  call: Call,
): Promise<{ session: Session; refreshToken: string }> => {
  const expiresAtMs = nowMs + refreshLifetime.absoluteMs;
  const session: Session = {
    id: newId(),
    userId,
    device,
    createdAtMs: nowMs,
    ended: undefined,
    idleExpiresAtMs: idleExpiry(nowMs, expiresAtMs),
    expiresAtMs,
  };
  await sessions.add(session, remoteAddress);
  const refreshToken = secrets.newToken();
  await refreshTokens.add(secrets.hash(refreshToken), session.id);

  // A registration that does not say where it comes from tells nothing to compare later logins with.
  const tells = !registering || device.id !== '' || device.platform !== '';
  const unusual = tells && isUnusual(await places.see(userId, placeOf(device, remoteAddress), nowMs));

  const ended = await sessions.end({ userId, keep: maxSessions }, 'too_many_logins', nowMs);
  await revocations.append(
    ended.map((sessionId) => ({ sessionId })),
    nowMs,
  );

  const login: Fact = {
    type: 'user.login',
    data: {
      userId,
      sessionId: session.id,
      ...(device.id === '' ? {} : { deviceId: device.id }),
      platform: device.platform || unknownPlatform,
      at: nowMs,
      unusual,
    },
  };
  if (registering) await registrations.begin(userId, nowMs, call);
  await outbox.append([login], nowMs, call);
  return { session, refreshToken };
};
