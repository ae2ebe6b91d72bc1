import { syncV1, toAppError } from '@skein/contracts';
import { rootContext } from '@skein/rpc';
import type { Calls } from './calls.ts';
import type { Ground } from './disk.ts';
import { startMachine } from './machine.ts';

/** Who is in the team spaces, and who changes that. */
export interface Membership {
  /** Asks for one change: somebody is invited and comes, gets another role, or goes. Often it is refused. */
  change(): Promise<void>;
  /** When each change was asked for, by the platform its event names. */
  readonly askedAtMs: ReadonlyMap<string, number>;
}

const roles = ['owner', 'editor', 'viewer'] as const;

/** Changes by any of `users`, in any of `teams`, through the calls a gateway would make. */
export const createMembership = (
  { schedule, random }: Ground,
  calls: Calls,
  { users, teams }: { readonly users: readonly string[]; readonly teams: readonly string[] },
  wrong: (text: string) => void,
): Membership => {
  const sync = calls.client(startMachine('operator', 0), syncV1.SyncServiceService);
  const askedAtMs = new Map<string, number>();
  const as = (userId: string) => {
    const platform = `change-${askedAtMs.size + 1}`;
    askedAtMs.set(platform, schedule.now());
    const actor = { userId, scopes: ['session'], platform };
    return rootContext({ actor, timeoutMs: 5_000, idempotencyKey: platform });
  };
  const invite = async (space: string, by: string, userId: string) => {
    const wanted = { space, role: random.pick(['editor', 'viewer']), email: '', expiresInHours: 0 };
    const { invitation } = await sync.createInvitation(wanted, as(by));
    await sync.acceptInvitation({ code: invitation?.code ?? '', email: '' }, as(userId));
  };
  const put = async (space: string, by: string, userId: string) => {
    const { invited } = await sync.putMember({ space, userId, role: random.pick(roles) }, as(by));
    if (!invited) return;
    const { items } = await sync.listReceivedInvitations({ limit: 200, cursor: '' }, as(userId));
    const code = items.find((one) => one.space === space)?.invitation?.code ?? '';
    if (random.chance(0.2)) await sync.declineInvitation({ code, email: '' }, as(userId));
    else await sync.acceptInvitation({ code, email: '' }, as(userId));
  };
  return {
    askedAtMs,
    change: async () => {
      if (teams.length === 0) return;
      const [space, by, userId] = [random.pick(teams), random.pick(users), random.pick(users)];
      const what = random.between(1, 5);
      try {
        if (what <= 2) await invite(space, by, userId);
        else if (what === 3) await put(space, by, userId);
        else await sync.removeMember({ space, userId: random.chance(0.3) ? by : userId }, as(by));
      } catch (error) {
        const { code } = toAppError(error);
        if (code === 'internal') wrong(`membership: a change in ${space} was answered by ${code}`);
      }
    },
  };
};
