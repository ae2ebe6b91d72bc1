/** How a conflict on a field is settled. */
export type Strategy = 'server_wins' | 'client_wins' | 'newest_wins' | 'merge' | 'manual';

/** How `merge` settles one field that cannot be joined. */
export type Resolver = 'server' | 'client' | 'newest' | 'larger' | 'smaller';

/** The rules of a collection; plain data. */
export interface Policy {
  readonly strategy: Strategy;
  /** A delete meets an edit the deleting side has not seen. */
  readonly deletes: 'delete_wins' | 'edit_wins';
  /** Of `merge`: field key → resolver. */
  readonly resolvers?: Readonly<Record<string, Resolver>>;
  /** Of `merge`, for fields without a resolver of their own. */
  readonly otherwise?: Resolver;
}

/** What holds for a collection nobody has said anything about. */
export const defaultPolicy: Policy = { strategy: 'server_wins', deletes: 'delete_wins' };

/** The policies that come with the product. */
export const shippedPolicies: Readonly<Record<string, Policy>> = {
  session: { strategy: 'newest_wins', deletes: 'edit_wins' },
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
