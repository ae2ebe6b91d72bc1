import { AppError } from '@skein/contracts';
import type { Account, Store } from './ports.ts';

/** Address and name of an account; `not_found` when there is none. */
export const getAccount =
  ({ store }: { store: Store }) =>
  async (userId: string): Promise<Account> => {
    const account = await store.accounts.byId(userId);
    if (!account) throw new AppError('not_found', 'There is no such account');
    return account;
  };
