import type { CallContext } from '@skein/rpc';
import { defineSaga } from '@skein/saga/definition';
import { z } from 'zod';

const input = z.object({ user: z.string() });

/** What the steps need of others and of this service. Each may come again and then changes nothing. */
export interface ErasingPorts {
  /** Ends every login and token, and keeps the person out. `not_found` without an account. Gives its address. */
  closeAccount(user: string, call: CallContext): Promise<{ readonly email: string }>;
  /** This service keeps nothing new about the person any more. */
  keepNothing(user: string): Promise<void>;
  /** Out of all spaces and conversations. `email` is empty once nobody knows it any more. */
  eraseFromSpaces(user: string, email: string, call: CallContext): Promise<void>;
  eraseFromAgent(user: string, call: CallContext): Promise<void>;
  /** Out of this service; the saga itself stays until its time is over. */
  eraseProfile(user: string, sagaId: string): Promise<void>;
  eraseAccount(user: string, call: CallContext): Promise<void>;
}

/** Large spaces take their time, and a service that is away comes back: nothing here may be left half done. */
const patient = { timeoutMs: 300_000, retry: { attempts: 200, capMs: 600_000 } };

/**
 * Erases a person everywhere. Closing the account is the point of no return; from then on each service forgets the
 * person, the account with its address last, and what was on its way meanwhile is swept up at the end.
 */
export const eraseUser = (ports: ErasingPorts) => {
  /** Not before: until the account is closed the saga may be ended, and the person goes on. */
  const close = async (user: string, call: CallContext) => {
    const closed = await ports.closeAccount(user, call);
    await ports.keepNothing(user);
    return closed;
  };
  return defineSaga({ name: 'erase-user', version: 1, input, locks: ({ user }) => [`user:${user}`] })
    .pivot('closeAccount', {
      ...patient,
      refuseOn: ['not_found'],
      action: ({ input: { user }, call }) => close(user, call),
    })
    .retriable('eraseFromSpaces', {
      ...patient,
      action: async ({ input: { user }, call }) => {
        // The address is no business of the journal.
        const { email } = await close(user, call);
        await ports.eraseFromSpaces(user, email, call);
      },
    })
    .retriable('eraseFromAgent', {
      ...patient,
      action: ({ input: { user }, call }) => ports.eraseFromAgent(user, call),
    })
    .retriable('eraseProfile', {
      ...patient,
      action: ({ input: { user }, sagaId }) => ports.eraseProfile(user, sagaId),
    })
    .retriable('eraseAccount', {
      ...patient,
      action: ({ input: { user }, call }) => ports.eraseAccount(user, call),
    })
    .retriable('sweep', {
      ...patient,
      action: async ({ input: { user }, sagaId, call }) => {
        await ports.eraseFromSpaces(user, '', call);
        await ports.eraseFromAgent(user, call);
        await ports.eraseProfile(user, sagaId);
        await ports.eraseAccount(user, call);
      },
    });
};
