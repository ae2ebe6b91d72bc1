import { type authV1, erasureV1 } from '@skein/contracts';
import type { Platform } from '@skein/platform';
import type { Database } from '@skein/postgres';
import type { CallContext, RpcClient } from '@skein/rpc';
import { forgetSagas, type SagaDefinition, type Sagas } from '@skein/saga';
import { postgresErasures } from '../adapters/postgres-erasures.ts';
import { eraseMe, eraseSomebody } from '../app/ask-erasure.ts';
import { type ErasingPorts, eraseUser } from '../app/erase-user.ts';
import type { Accounts } from '../app/ports.ts';

/** What erasing people is made of; the orchestrator is there once all definitions are. */
export interface ErasingNeeds {
  readonly platform: Platform;
  readonly database: Database;
  readonly auth: RpcClient<authV1.AuthServiceService>;
  readonly accounts: Accounts<CallContext>;
  readonly orchestrator: () => Sagas;
}

/** Erasing a person: its saga, and asking for it. */
export const erasingParts = ({ platform, database, auth, accounts, orchestrator }: ErasingNeeds) => {
  const client = (service: string) =>
    platform.client(erasureV1.ErasureServiceService, service, { retryable: ['eraseUser'] });
  const [spaces, agent, account] = [client('session-sync'), client('agent'), client('auth')];
  const erasures = postgresErasures({
    database,
    start: (tx, user, correlationId) =>
      orchestrator().start(tx, definition, { user }, { subject: user, correlationId }),
    started: () => orchestrator().wake(),
    forgetSagas: (subject, except) =>
      forgetSagas(database, orchestrator(), { subject, by: 'erase-user', except }),
  });
  const ports: ErasingPorts = {
    closeAccount: (userId, call) => auth.closeAccount({ userId }, call),
    keepNothing: (userId) => erasures.keepNothing(userId),
    eraseFromSpaces: async (userId, email, call) => {
      await spaces.eraseUser({ userId, email }, call);
    },
    eraseFromAgent: async (userId, call) => {
      await agent.eraseUser({ userId, email: '' }, call);
    },
    eraseProfile: (userId, sagaId) => erasures.erasePerson(userId, sagaId),
    eraseAccount: async (userId, call) => {
      await account.eraseUser({ userId, email: '' }, call);
    },
  };
  const definition = eraseUser(ports);
  const asking = {
    ...{ erasures, accounts },
    confirm: async (password: string, call: CallContext) => {
      await auth.confirmPerson({ password }, call);
    },
  };
  return {
    definition: definition as SagaDefinition,
    eraseMe: eraseMe<CallContext>(asking),
    eraseSomebody: eraseSomebody<CallContext>(asking),
  };
};
