/** What an API token may be allowed to do. */
export const apiScopes = [
  'session',
  'messages:write',
  'documents:read',
  'documents:write',
  'channel',
  'service',
  'operator',
] as const;

/** A scope of the list. */
export type Scope = (typeof apiScopes)[number];

/** Scopes that reach beyond the person who grants them. */
const operatorOnly: ReadonlySet<string> = new Set<Scope>(['channel', 'service', 'operator']);

/** What a login may do: everything its person may, and run the place if they are the operator. */
export const loginScopes = (email: string, operatorEmail: string): Scope[] =>
  operatorEmail !== '' && email === operatorEmail ? ['session', 'operator'] : ['session'];

/**
 * The scopes among `wanted` that somebody with scopes `held` may not put into a token. Only a full session may
 * make tokens; what reaches other people is for operators.
 */
export const refusedScopes = (held: readonly string[], wanted: readonly string[]): string[] =>
  wanted.filter(
    (scope) =>
      !held.includes('session') ||
      !apiScopes.some((known) => known === scope) ||
      (operatorOnly.has(scope) && !held.includes('operator')),
  );
