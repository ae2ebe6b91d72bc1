import { canonicalJson } from './canonical.ts';
import type { Json, JsonObject } from './json.ts';

/** How a conflict on a field is settled. */
export type Strategy = 'server_wins' | 'client_wins' | 'newest_wins' | 'merge' | 'manual';

/**
 * How one field is settled, by name. `larger` and `smaller` compare numbers and `union` joins arrays as sets; what is
 * neither goes to the newest. `manual` leaves it to a person.
 */
export type Resolver = 'server' | 'client' | 'newest' | 'larger' | 'smaller' | 'union' | 'manual';

/** The rules of a collection; plain data. */
export interface Policy {
  readonly strategy: Strategy;
  /** A delete meets an edit the deleting side has not seen. */
  readonly deletes: 'delete_wins' | 'edit_wins';
  /** Of `merge`: field key → resolver, for the field and all below it. */
  readonly resolvers?: Readonly<Record<string, Resolver>> | undefined;
  /** Of `merge`, for fields without a resolver of their own; `newest` unless said. */
  readonly otherwise?: Resolver | undefined;
  /** Which way documents go between devices and server, seen from the device. `pull`: devices never write. */
  readonly direction?: 'both' | 'pull' | undefined;
  /** For how long settled conflicts and what is left of deleted documents are kept; for good unless said. */
  readonly retentionDays?: number | undefined;
  /** JSON Schema (2020-12) of a document's value; anything unless said. */
  readonly schema?: JsonObject | undefined;
}

/** What holds for a collection nobody has said anything about. */
export const defaultPolicy: Policy = { strategy: 'server_wins', deletes: 'delete_wins' };

/** The policies that come with the product. */
export const shippedPolicies: Readonly<Record<string, Policy>> = {
  session: {
    strategy: 'newest_wins',
    deletes: 'edit_wins',
    schema: {
      type: 'object',
      properties: {
        persona: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$' },
        memoryEnabled: { type: 'boolean' },
      },
    },
  },
  user_preferences: { strategy: 'client_wins', deletes: 'edit_wins' },
  health_data: { strategy: 'server_wins', deletes: 'edit_wins' },
  diagnosis_result: {
    strategy: 'merge',
    deletes: 'edit_wins',
    resolvers: { '/clientNotes': 'client', '/localTimestamp': 'client' },
    otherwise: 'server',
  },
  task: { strategy: 'newest_wins', deletes: 'delete_wins' },
  knowledge_base: { strategy: 'manual', deletes: 'edit_wins' },
};

/** The rules of a collection. */
export const policyOf = (
  collection: string,
  policies: Readonly<Record<string, Policy>> = shippedPolicies,
): Policy => (Object.hasOwn(policies, collection) ? (policies[collection] ?? defaultPolicy) : defaultPolicy);

/** The resolver of a field: what its strategy says, and of `merge` the one named nearest above it. */
export const resolverOf = (policy: Policy, field: string): Resolver => {
  switch (policy.strategy) {
    case 'server_wins':
      return 'server';
    case 'client_wins':
      return 'client';
    case 'newest_wins':
      return 'newest';
    case 'manual':
      return 'manual';
    case 'merge': {
      const { resolvers = {}, otherwise = 'newest' } = policy;
      for (let key = field; ; key = key.slice(0, key.lastIndexOf('/'))) {
        if (Object.hasOwn(resolvers, key)) return resolvers[key] ?? otherwise;
        if (key === '') return otherwise;
      }
    }
  }
};

/** Who wins a field, or what both sides make together. */
export type Resolved = 'server' | 'client' | { readonly joined: Json };

/** Each item once, those of the first list first. */
const union = (first: readonly Json[], second: readonly Json[]): Json[] => {
  const seen = new Set<string>();
  return [...first, ...second].filter((item) => {
    const text = canonicalJson(item);
    return !seen.has(text) && seen.add(text);
  });
};

/** Settles one field by a resolver. Until a person chooses, `manual` is settled as `newest`: the same everywhere. */
export const resolve = (
  resolver: Resolver,
  server: Json | undefined,
  client: Json | undefined,
  clientIsNewer: boolean,
): Resolved => {
  const newest = clientIsNewer ? 'client' : 'server';
  switch (resolver) {
    case 'server':
    case 'client':
      return resolver;
    case 'newest':
    case 'manual':
      return newest;
    case 'larger':
    case 'smaller':
      if (typeof server !== 'number' || typeof client !== 'number') return newest;
      return client > server === (resolver === 'larger') ? 'client' : 'server';
    case 'union':
      if (!Array.isArray(server) || !Array.isArray(client)) return newest;
      return { joined: union(server, client) };
  }
};
