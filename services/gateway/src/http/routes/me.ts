import type { syncV1, userV1 } from '@skein/contracts';
import { must } from '@skein/service-kit';
import { z } from 'zod';
import type { Clients } from '../../ports.ts';
import { listDevices, signOutDevice } from '../devices.ts';
import { restOrigin } from '../origin.ts';
import { readPreferences, writePreferences } from '../preferences.ts';
import { type Route, route } from '../route.ts';
import {
  deviceState,
  erasureBegun,
  farewell,
  memoryChange,
  notice,
  personaChange,
  preferences,
  profile,
  profilePatch,
  sessionState,
} from '../schemas/account.ts';
import { freeObject, id, listAnswer, listOf, page, pageRequest, timeText } from '../schemas/basics.ts';
import { sagaRef } from './sagas.ts';

/** A profile as clients get it. */
export const encodeProfile = (given: userV1.Profile | undefined): z.infer<typeof profile> => {
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

/** A notice as clients get it. */
export const encodeNotice = ({ id, kind, timeMs, dataJson }: userV1.Notice): z.infer<typeof notice> => ({
  id,
  kind,
  time: timeText(timeMs),
  data: freeObject.parse(JSON.parse(dataJson)),
});

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
    repeat: 'key',
    tag,
    summary: 'Changes fields of the profile',
    access: 'session',
    body: profilePatch,
    status: 200,
    response: profile,
    handle: async ({ body, ctx }) => encodeProfile((await user.updateProfile(body, ctx)).profile),
  }),
  route({
    method: 'delete',
    path: '/v1/me',
    repeat: 'harmless',
    tag,
    summary:
      'Erases the person everywhere, for good. Needs a login of the last ten minutes, or the password; every login ends at once',
    access: 'login',
    body: farewell,
    status: 202,
    response: erasureBegun,
    // A password can be tried here.
    limit: (limits, { address, principal }) => limits.login(address, must(principal, 'signed in').userId),
    handle: async ({ body, ctx }) => {
      const { sagaId } = await user.eraseMe({ password: body?.password ?? '' }, ctx);
      return { sagaId: sagaRef('user', sagaId) };
    },
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
    repeat: 'harmless',
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
    repeat: 'key',
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
    repeat: 'key',
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
    path: '/v1/me/notices',
    tag,
    summary: 'What the person should know: a welcome, unusual logins',
    access: 'session',
    query: page,
    status: 200,
    response: listOf(notice),
    handle: async ({ query, ctx }) =>
      listAnswer(await user.listNotices(pageRequest(query), ctx), encodeNotice),
  }),
  route({
    method: 'get',
    path: '/v1/me/devices',
    tag,
    summary: 'Where the person is signed in or was',
    access: 'session',
    status: 200,
    response: listOf(deviceState),
    handle: async ({ ctx }) => ({ items: await listDevices({ auth, sync }, ctx) }),
  }),
  route({
    method: 'delete',
    path: '/v1/me/devices/{id}',
    repeat: 'harmless',
    tag,
    summary: 'Signs a device out: closes its sockets, revokes its tokens',
    access: 'login',
    params: z.object({ id }),
    status: 204,
    handle: ({ params, ctx }) => signOutDevice({ auth, sync }, params.id, ctx),
  }),
];
