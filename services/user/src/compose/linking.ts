import type { Database } from '@skein/postgres';
import type { SagaDefinition, Sagas } from '@skein/saga';
import { linkCodes } from '../adapters/link-codes.ts';
import { postgresIdentities } from '../adapters/postgres-identities.ts';
import { identityUseCases } from '../app/identities.ts';
import { linkIdentity } from '../app/link-identity.ts';
import type { LinkEnd } from '../app/ports.ts';

/** What linking is made of; the orchestrator is there once all definitions are. */
export interface LinkingNeeds {
  readonly database: Database;
  readonly newId: () => string;
  readonly orchestrator: () => Sagas;
  /** Told when there is something to publish. */
  readonly published: () => void;
}

/** A link is three short writes; a person does not wait longer for it. */
const waitMs = 5_000;

/** Linking people with their accounts on other platforms: its saga, and the use cases around it. */
export const linkingParts = ({ database, newId, orchestrator, published }: LinkingNeeds) => {
  const endOf = async (sagaId: string): Promise<LinkEnd | undefined> => {
    const signal = AbortSignal.timeout(waitMs);
    try {
      const end = await orchestrator().settled(sagaId, { signal });
      return 'failure' in end ? { done: false, failure: end.failure } : { done: true, failure: undefined };
    } catch (error) {
      // The saga goes on without us.
      if (signal.aborted) return undefined;
      throw error;
    }
  };
  const identities = postgresIdentities({
    ...{ database, newId, published },
    start: async (tx, input, options) => {
      const { id } = await orchestrator().start(tx, definition, input, { ...options, subject: input.user });
      return { sagaId: id, end: () => endOf(id) };
    },
    started: () => orchestrator().wake(),
  });
  const definition = linkIdentity(identities);
  return {
    definition: definition as SagaDefinition,
    app: identityUseCases({ identities, newId, codes: linkCodes }),
    prune: identities.prune,
  };
};
