import type { authV1 } from '@skein/contracts';
import type { CallContext, RpcClient } from '@skein/rpc';
import { must } from '@skein/service-kit';
import type { Accounts } from '../app/ports.ts';

/** Accounts as auth tells them. */
export const authAccounts = (
  auth: Pick<RpcClient<typeof authV1.AuthServiceService>, 'getAccount'>,
): Accounts<CallContext> => ({
  async byId(userId, call) {
    const { account } = await auth.getAccount({ userId }, call);
    return must(account, 'auth answered without an account');
  },
});
