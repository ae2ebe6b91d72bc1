import { AppError } from '@skein/contracts';
import type { Accounts, Call, Erasures } from './ports.ts';

/** What the use cases are made of. */
interface Deps<C> {
  readonly erasures: Pick<Erasures, 'begin' | 'isAsked'>;
  readonly accounts: Accounts<C>;
  /** Rejects unless auth is sure that it is the person who asks. */
  readonly confirm: (password: string, call: C) => Promise<void>;
}

interface ErasureCall extends Call {
  readonly correlationId: string;
}

const maxReason = 500;

/** The person who asks is erased everywhere; auth has to be sure that it is them. */
export const eraseMe =
  <C extends ErasureCall>({ erasures, confirm }: Deps<C>) =>
  async (userId: string, password: string, call: C): Promise<{ readonly sagaId: string }> => {
    await confirm(password, call);
    return erasures.begin({ userId, by: userId, reason: '' }, call.correlationId);
  };

/** An operator has a person erased everywhere, and says why. `not_found` when there is no such account. */
export const eraseSomebody =
  <C extends ErasureCall>({ erasures, accounts }: Deps<C>) =>
  async (
    asked: { readonly userId: string; readonly by: string; readonly reason: string },
    call: C,
  ): Promise<{ readonly sagaId: string }> => {
    const reason = asked.reason.trim();
    if (reason === '' || reason.length > maxReason)
      throw new AppError('invalid_request', undefined, {
        errors: [{ path: 'reason', message: `must have 1 to ${maxReason} characters` }],
      });
    if (!(await erasures.isAsked(asked.userId))) await accounts.byId(asked.userId, call);
    return erasures.begin({ ...asked, reason }, call.correlationId);
  };
