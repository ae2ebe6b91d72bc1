import { AppError } from '@skein/contracts';
import { z } from 'zod';
import type { KeySet } from '../../auth/key-set.ts';
import type { LiveSide } from '../../ports.ts';
import { streamQueries } from '../../stream/open.ts';
import { type Route, route } from '../route.ts';
import { jwks } from '../schemas/account.ts';
import { freeObject } from '../schemas/basics.ts';

/** What the routes about the gateway itself need. */
export interface ServiceDeps {
  readonly keys: Pick<KeySet, 'json' | 'ageMs'>;
  readonly live: Pick<LiveSide, 'stream' | 'poll'>;
  readonly issuer: string;
  readonly publicUrl: string;
  readonly leaving: AbortSignal;
  /** Facts for operators about parts of this process, such as the age of the keys. */
  readonly facts: () => Readonly<Record<string, unknown>>;
}

const status = z.object({ status: z.string() });
/** A row whose exchange belongs to `raw`. */
const taken = (): Promise<undefined> => {
  throw new Error('bug: raw rows have no handle');
};

const tag = 'service';

/** Keys, live streams, health. */
export const serviceRoutes = (deps: ServiceDeps): Route[] => [
  route({
    method: 'get',
    path: '/.well-known/jwks.json',
    tag,
    summary: 'The keys tokens are signed with',
    access: 'public',
    status: 200,
    response: jwks,
    cacheControl: 'public, max-age=600',
    handle: async () => JSON.parse(await deps.keys.json()) as z.infer<typeof jwks>,
  }),
  route({
    method: 'get',
    path: '/.well-known/openid-configuration',
    tag,
    summary: 'Where the keys are',
    access: 'public',
    status: 200,
    response: freeObject,
    cacheControl: 'public, max-age=600',
    handle: async () => ({
      issuer: deps.issuer,
      jwks_uri: `${deps.publicUrl}/.well-known/jwks.json`,
      response_types_supported: ['token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['EdDSA'],
    }),
  }),
  route({
    method: 'get',
    path: '/v1/stream',
    tag,
    summary: 'The frames of the socket as server-sent events',
    access: 'public',
    query: streamQueries.stream,
    ticket: true,
    status: 200,
    responseType: 'text/event-stream',
    handle: taken,
    raw: deps.live.stream,
  }),
  route({
    method: 'get',
    path: '/v1/poll',
    tag,
    summary: 'The frames of the socket by long poll',
    access: 'public',
    query: streamQueries.poll,
    ticket: true,
    status: 200,
    response: z.object({ cursor: z.string(), frames: z.array(freeObject) }),
    handle: taken as () => Promise<never>,
    raw: deps.live.poll,
  }),
  route({
    method: 'get',
    path: '/healthz',
    tag,
    summary: 'The process runs',
    access: 'public',
    unlimited: true,
    status: 200,
    response: status,
    handle: async () => ({ status: 'ok' }),
  }),
  route({
    method: 'get',
    path: '/readyz',
    tag,
    summary: 'Requests are welcome: tokens can be checked, and the process is not leaving',
    access: 'public',
    unlimited: true,
    status: 200,
    response: status,
    handle: async () => {
      if (deps.leaving.aborted) throw new AppError('unavailable', 'This gateway is leaving');
      if (deps.keys.ageMs() === undefined)
        throw new AppError('unavailable', 'The signing keys are not loaded yet');
      return { status: 'ready' };
    },
  }),
  route({
    method: 'get',
    path: '/v1/health',
    tag,
    summary: 'How the gateway is; details for operators',
    access: 'optional',
    status: 200,
    response: z.object({ status: z.string(), details: freeObject.optional() }),
    handle: async ({ principal }) => {
      const state = deps.keys.ageMs() === undefined ? 'degraded' : 'ok';
      return principal?.scopes.includes('operator')
        ? { status: state, details: deps.facts() }
        : { status: state };
    },
  }),
];
