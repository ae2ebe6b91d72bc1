import { AppError, type authV1, type syncV1 } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import { must } from '@skein/service-kit';
import type { z } from 'zod';
import type { Clients } from '../ports.ts';
import type { deviceState } from './schemas/account.ts';
import { timeText } from './schemas/basics.ts';

type DeviceState = z.infer<typeof deviceState>;

/** The clients that know about devices: who signed in is auth's, who came to sync is session-sync's. */
type DeviceClients = Pick<Clients, 'auth' | 'sync'>;

/** Under this a login is listed that named no device and was seen with none. */
const loginPrefix = 'session-';

const ofSynced = ({ device, connected, lastSeenMs }: syncV1.DeviceState): DeviceState => {
  const known = must(device, 'a device state names its device');
  return {
    id: known.id,
    platform: known.platform,
    ...(known.name === '' ? {} : { name: known.name }),
    connected,
    lastSeen: timeText(lastSeenMs),
  };
};

const ofLogin = ({ id, device, lastUsedAtMs }: authV1.LoginSession): DeviceState => ({
  id: device?.id || `${loginPrefix}${id}`,
  platform: device?.platform || 'unknown',
  ...(device?.name ? { name: device.name } : {}),
  connected: false,
  lastSeen: timeText(lastUsedAtMs),
});

/**
 * Every place the person is signed in at or was: the devices that came to sync, and the logins that did not, under
 * the device they named or as `session-<id>`.
 */
export const listDevices = async (
  { auth, sync }: DeviceClients,
  ctx: CallContext,
): Promise<DeviceState[]> => {
  const [synced, logins] = await Promise.all([sync.listDevices({}, ctx), auth.listSessions({}, ctx)]);
  const states = new Map(synced.items.map((one) => [one.device?.id, ofSynced(one)]));
  const seen = new Set(synced.items.flatMap(({ sessionIds }) => sessionIds));
  // Last used first: of several logins of one device the newest says when.
  for (const login of logins.items) {
    const state = ofLogin(login);
    if (!seen.has(login.id) && !states.has(state.id)) states.set(state.id, state);
  }
  return [...states.values()];
};

/**
 * Signs a device out: the logins that named it, and every login and API token it opened its session with, end. Their
 * sockets close with them. One that is not there is signed out already.
 */
export const signOutDevice = async (
  { auth, sync }: DeviceClients,
  deviceId: string,
  ctx: CallContext,
): Promise<void> => {
  const { items } = await sync.listDevices({ deviceId }, ctx);
  const sessionIds = items.flatMap((one) => one.sessionIds);
  if (deviceId.startsWith(loginPrefix)) sessionIds.push(deviceId.slice(loginPrefix.length));
  const tokenIds = items.flatMap((one) => one.tokenIds);
  // Logins first: if the second call fails, the device is out already and the request can be repeated.
  await auth.revokeDevice({ deviceId, sessionIds, tokenIds }, ctx);
  await sync.removeDevice({ deviceId }, ctx).catch(missingIsFine);
};

const missingIsFine = (error: unknown): void => {
  // A device that only ever signed in has nothing to remove in session-sync.
  if (!(error instanceof AppError && error.code === 'not_found')) throw error;
};
