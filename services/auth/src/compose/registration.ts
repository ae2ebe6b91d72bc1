import { syncV1, userV1 } from '@skein/contracts';
import type { Platform } from '@skein/platform';
import type { Database } from '@skein/postgres';
import { forgetSagas, type Sagas, sagas } from '@skein/saga';
import type { Clock } from '@skein/service-kit';
import { postgresOutbox } from '../adapters/postgres-outbox.ts';
import type { StoreOptions } from '../adapters/postgres-store.ts';
import { registrationSteps } from '../adapters/registration-steps.ts';
import { registerUser } from '../app/register-user.ts';

/** What registering stands on. */
interface Base {
  readonly platform: Platform;
  readonly database: Database;
  readonly clock: Clock;
  readonly newId: () => string;
  /** Told after each commit that wrote facts. */
  readonly changed: () => void;
}

/** The saga of registrations: how one begins, and the orchestrator that runs it. */
export const registrationParts = ({
  platform,
  database,
  clock,
  newId,
  changed,
}: Base): {
  readonly orchestrator: Sagas;
  readonly register: StoreOptions['register'];
  /** Of a person who is erased; a registration that is being taken back has begun that, and stays. */
  readonly forgetRegistration: (userId: string) => Promise<void>;
} => {
  const { log, metrics, instance } = platform;
  const definition = registerUser(
    registrationSteps({
      ...{ database, clock, changed },
      outbox: (tx) => postgresOutbox(tx, newId),
      user: platform.client(userV1.UserServiceService, 'user', { retryable: ['getProfile'] }),
      sync: platform.client(syncV1.SyncServiceService, 'session-sync', { retryable: ['getSpace'] }),
    }),
  );
  const orchestrator = sagas({ database, definitions: [definition], instance, log, metrics });
  return {
    orchestrator,
    register: (tx, input, options) => orchestrator.start(tx, definition, input, options),
    forgetRegistration: async (subject) => {
      const [own] = await orchestrator.list({
        ...{ subject, states: ['compensating'], limit: 1 },
      });
      await forgetSagas(database, orchestrator, { subject, by: 'erase-user', except: own?.id });
    },
  };
};
