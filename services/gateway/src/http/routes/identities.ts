import type { identityV1 } from '@skein/contracts';
import { must } from '@skein/service-kit';
import type { z } from 'zod';
import type { Identities } from '../../ports.ts';
import { type Route, route } from '../route.ts';
import { listOf, timeText } from '../schemas/basics.ts';
import {
  channelAccount,
  codeFromChannel,
  codeFromPerson,
  identity,
  identityPath,
  linkBegun,
  linkCode,
} from '../schemas/identity.ts';
import { sagaRef } from './sagas.ts';

const tag = 'identities';

/** A linked account as clients get it. */
export const encodeIdentity = ({ account, linkedAtMs }: identityV1.Identity): z.infer<typeof identity> => {
  const { platform, account: id, name } = must(account, 'user answers with the account');
  return { platform, account: id, ...(name === '' ? {} : { name }), linkedAt: timeText(linkedAtMs) };
};

const begun = ({ sagaId, linked }: { readonly sagaId: string; readonly linked: boolean }) => ({
  sagaId: sagaRef('user', sagaId),
  linked,
});

const made = ({ code, expiresInS }: { readonly code: string; readonly expiresInS: number }) => ({
  code,
  expiresIn: expiresInS,
});

/** Accounts of people on other platforms: what the person does, and what a channel does for its accounts. */
export const identityRoutes = (identities: Identities): Route[] => [
  route({
    method: 'get',
    path: '/v1/me/identities',
    tag,
    summary: 'The person’s accounts on other platforms, one a platform',
    access: 'session',
    status: 200,
    response: listOf(identity),
    handle: async ({ ctx }) => {
      const { items } = await identities.listIdentities({}, ctx);
      return { items: items.map(encodeIdentity) };
    },
  }),
  route({
    method: 'post',
    path: '/v1/me/identities/link-code',
    repeat: 'counts',
    tag,
    summary: 'A code to give to the channel of an account',
    access: 'login',
    status: 201,
    response: linkCode,
    handle: async ({ ctx }) => made(await identities.createLinkCode({}, ctx)),
  }),
  route({
    method: 'post',
    path: '/v1/me/identities',
    repeat: 'key',
    tag,
    summary: 'Links the account that a channel has given this code; 409 `identity_taken` when it cannot be',
    access: 'login',
    body: codeFromChannel,
    status: 202,
    response: linkBegun,
    // Codes can be tried here.
    limit: (limits, { address, principal }) => limits.login(address, must(principal, 'signed in').userId),
    handle: async ({ body, ctx }) => begun(await identities.linkByCode(body, ctx)),
  }),
  route({
    method: 'delete',
    path: '/v1/me/identities/{platform}',
    repeat: 'harmless',
    tag,
    summary: 'Unlinks the account on a platform',
    access: 'login',
    params: identityPath,
    status: 204,
    handle: async ({ params, ctx }) => {
      await identities.unlinkIdentity(params, ctx);
    },
  }),
  route({
    method: 'post',
    path: '/v1/channels/link-codes',
    repeat: 'counts',
    tag,
    summary: 'A code for an account of this channel, to be given to its person',
    access: 'channel',
    body: channelAccount,
    status: 201,
    response: linkCode,
    handle: async ({ body: { name = '', ...account }, ctx }) =>
      made(await identities.createAccountCode({ account: { ...account, name } }, ctx)),
  }),
  route({
    method: 'post',
    path: '/v1/channels/identities',
    repeat: 'key',
    tag,
    summary: 'Links an account of this channel with the person who has given it this code',
    access: 'channel',
    body: codeFromPerson,
    status: 202,
    response: linkBegun,
    handle: async ({ body: { code, name = '', ...account }, ctx }) =>
      begun(await identities.linkAccount({ code, account: { ...account, name } }, ctx)),
  }),
];
