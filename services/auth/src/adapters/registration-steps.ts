import { setTimeout as delay } from 'node:timers/promises';
import { type syncV1, toAppError, type userV1 } from '@skein/contracts';
import type { Database, Tx } from '@skein/postgres';
import { type CallContext, deriveContext, type RpcClient } from '@skein/rpc';
import { participant } from '@skein/saga';
import type { Clock } from '@skein/service-kit';
import type { Outbox } from '../app/ports.ts';
import type { RegistrationPorts } from '../app/register-user.ts';

/** What the steps of a registration act on. */
export interface RegistrationParts {
  readonly database: Database;
  readonly outbox: (tx: Tx) => Outbox;
  /** Told after each commit that wrote facts. */
  readonly changed: () => void;
  readonly user: Pick<RpcClient<typeof userV1.UserServiceService>, 'getProfile' | 'eraseUser'>;
  readonly sync: Pick<RpcClient<typeof syncV1.SyncServiceService>, 'getSpace'>;
  readonly clock: Clock;
}

/** Between two looks at whether an account is gone. */
const lookMs = 100;

const asPerson = (userId: string, call: CallContext): CallContext =>
  deriveContext(call, { actor: { userId, scopes: [] } });

/** The steps, by what makes profiles and spaces at their first touch: this is the first touch. */
export const registrationSteps = (parts: RegistrationParts): RegistrationPorts => {
  const { database, user, sync, clock } = parts;
  const isThere = async (id: string): Promise<boolean> => {
    const rows = await database.query(
      { name: 'account_is_there', text: 'select 1 from accounts where id = $1' },
      [id],
    );
    return rows.length > 0;
  };
  return {
    makeProfile: async (userId, call) => {
      await user.getProfile({}, asPerson(userId, call));
    },
    makeSpace: async (userId, call) => {
      await sync.getSpace({ space: 'personal' }, asPerson(userId, call));
    },
    takeBack: async (userId, call) => {
      try {
        await user.eraseUser({ userId, reason: 'the registration was taken back' }, call);
      } catch (error) {
        // Closed or gone already: whoever began that ends it.
        if (toAppError(error).code !== 'not_found') throw error;
      }
      // The account goes last: then its address is free.
      while (await isThere(userId)) await delay(lookMs, undefined, { signal: call.signal });
    },
    welcome: async ({ user: userId, registeredAtMs }, key, correlationId) => {
      await database.transaction((tx) =>
        participant.once(tx, key, async () => {
          const fact = {
            type: 'user.registered',
            data: { userId, registeredAt: registeredAtMs },
          } as const;
          await parts.outbox(tx).append([fact], clock.now(), { correlationId });
        }),
      );
      parts.changed();
    },
  };
};
