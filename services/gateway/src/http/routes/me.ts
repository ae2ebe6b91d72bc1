import { AppError, type syncV1, type userV1 } from '@skein/contracts';
import { must } from '@skein/service-kit';
import { z } from 'zod';
import type { Clients } from '../../ports.ts';
import { restOrigin } from '../origin.ts';
import { readPreferences, writePreferences } from '../preferences.ts';
import { type Route, route } from '../route.ts';
import {
  deviceState,
  memoryChange,
  personaChange,
  preferences,
  profile,
  profilePatch,
  sessionState,
} from '../schemas/account.ts';
import { id, listOf, timeText } from '../schemas/basics.ts';

const encodeProfile = (given: userV1.Profile | undefined): z.infer<typeof profile> => {
  const person = must(given, 'user answers with a profile');
  return {
    id: person.userId,
    email: person.email,
    displayName: person.displayName,
    locale: person.locale,
    timezone: person.timezone,
    createdAt: timeText(person.createdAtMs),
    ...(person.lastLoginAtMs === 0
      ? {}
      : { lastLogin: { time: timeText(person.lastLoginAtMs), platform: person.lastLoginPlatform } }),
  };
};

const encodeSession = (answer: syncV1.ChangeSessionResponse): z.infer<typeof sessionState> => ({
  persona: answer.persona,
  memoryEnabled: answer.memoryEnabled,
  ...(answer.offset === 0 ? {} : { offset: answer.offset }),
});

const encodeDevice = ({ device, connected, lastSeenMs }: syncV1.DeviceState): z.infer<typeof deviceState> => {
  const known = must(device, 'a device state names its device');
  return {
    id: known.id,
    platform: known.platform,
    ...(known.name === '' ? {} : { name: known.name }),
    connected,
    lastSeen: timeText(lastSeenMs),
  };
};

const tag = 'me';
const personal = 'personal';

/** The signed-in person: profile, preferences, session settings, devices. */
export const meRoutes = ({ auth, user, sync }: Clients): Route[] => [
  route({
    method: 'get',
    path: '/v1/me',
    tag,
    summary: 'The person’s profile',
    access: 'session',
    status: 200,
    response: profile,
    handle: async ({ ctx }) => encodeProfile((await user.getProfile({}, ctx)).profile),
  }),
  route({
    method: 'patch',
    path: '/v1/me',
    tag,
    summary: 'Changes fields of the profile',
    access: 'session',
    body: profilePatch,
    status: 200,
    response: profile,
    handle: async ({ body, ctx }) => encodeProfile((await user.updateProfile(body, ctx)).profile),
  }),
  route({
    method: 'get',
    path: '/v1/me/preferences',
    tag,
    summary: 'The person’s preferences',
    access: 'documents:read',
    status: 200,
    response: preferences,
    handle: async ({ ctx }) => (await readPreferences(sync, ctx)).value,
  }),
  route({
    method: 'put',
    path: '/v1/me/preferences',
    tag,
    summary: 'Replaces the preferences',
    access: 'documents:write',
    body: preferences,
    bodySize: 'large',
    status: 200,
    response: preferences,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId),
    handle: async ({ body, principal, ctx }) =>
      writePreferences(sync, must(principal, 'signed in'), body, ctx),
  }),
  route({
    method: 'put',
    path: '/v1/me/persona',
    tag,
    summary: 'Chooses the persona that answers',
    access: 'session',
    body: personaChange,
    status: 200,
    response: sessionState,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId),
    handle: async ({ body, ctx }) =>
      encodeSession(
        await sync.changeSession({ space: personal, persona: body.persona, origin: restOrigin() }, ctx),
      ),
  }),
  route({
    method: 'put',
    path: '/v1/me/memory',
    tag,
    summary: 'Turns memory on or off',
    access: 'session',
    body: memoryChange,
    status: 200,
    response: sessionState,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId),
    handle: async ({ body, ctx }) =>
      encodeSession(
        await sync.changeSession({ space: personal, memoryEnabled: body.enabled, origin: restOrigin() }, ctx),
      ),
  }),
  route({
    method: 'get',
    path: '/v1/me/devices',
    tag,
    summary: 'Where the person is signed in or was',
    access: 'session',
    status: 200,
    response: listOf(deviceState),
    handle: async ({ ctx }) => ({ items: (await sync.listDevices({}, ctx)).items.map(encodeDevice) }),
  }),
  route({
    method: 'delete',
    path: '/v1/me/devices/{id}',
    tag,
    summary: 'Signs a device out: closes its sockets, revokes its tokens',
    access: 'login',
    params: z.object({ id }),
    status: 204,
    handle: async ({ params, ctx }) => {
      // Logins first: if the second call fails, the device is out already and the request can be repeated.
      await auth.revokeDevice({ deviceId: params.id }, ctx);
      await sync.removeDevice({ deviceId: params.id }, ctx).catch(missingIsFine);
    },
  }),
];

const missingIsFine = (error: unknown): void => {
  // A device that only ever signed in has nothing to remove in session-sync.
  if (!(error instanceof AppError && error.code === 'not_found')) throw error;
};
