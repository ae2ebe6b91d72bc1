import { AppError } from '@skein/contracts';
import { v5 } from 'uuid';
import { type ChangeMember, changeMember, type MemberChanged, removeMember } from '../domain/member.ts';
import type { Role } from '../domain/state.ts';
import { coalesce } from './live/coalesce.ts';
import type { MembershipNews } from './membership-news.ts';
import { once } from './once.ts';
import { type AppParts, visibleSpace } from './parts.ts';
import { personalAlias } from './personal-space.ts';
import type { Call, DeviceInfo, Page, PageRequest, SpaceView } from './ports.ts';
import { checkedOneOf, checkedText, nameBytes, titleBytes } from './validate.ts';
import type { Unit } from './writer.ts';

/** Fixed for good: a team space's id comes from its maker and the key of the request that made it. */
const teamNamespace = '0b9a5a0e-2f64-4f0c-8a51-6f1f5c2f7d11';
/** Spaces in one session; beyond it a person follows the rest by `subscribe`. */
const sessionSpaces = 1_000;
/** Sessions that one query reads: with as many spaces as people may have it is an answer of some megabytes. */
const sessionsPerQuery = 100;

/**
 * Team spaces a person is in: made, and joined by what others do. With the own one they are as many as a connection
 * follows without being asked, so nobody can crowd out what a person has. Two requests at once may go one above.
 */
export const spaceLimits = { made: 100, joined: 99 };

/** How many team spaces a person may be in. */
export type SpaceLimits = typeof spaceLimits;

/** Spaces and their members. */
export const spaceUseCases = (parts: AppParts, limits: SpaceLimits, news: MembershipNews) => {
  const { writer, sha256, reads, maker, sightings, names, ids, clock } = parts;

  // After a gateway has gone thousands come at once: they cost a few queries.
  const sessionOf = coalesce(sessionsPerQuery, async (keys) => {
    const devices = keys.map((key) => {
      const [userId, device] = JSON.parse(key) as [string, string];
      return { userId, device };
    });
    const sessions = await reads.sessionsOf(devices, sessionSpaces);
    return new Map(keys.map((key, at) => [key, sessions[at] ?? []]));
  });

  const member = async (
    call: Call,
    space: string,
    userId: string,
    decide: typeof changeMember,
    role: Role | null,
  ) => {
    const id = await names.resolve(call.userId, space);
    const checked = checkedText('userId', userId, { max: nameBytes });
    if (role !== null && (await reads.isErased(checked)))
      throw new AppError('not_found', 'There is no such person');
    const command: Omit<ChangeMember, 'nowMs'> = {
      by: call.userId,
      userId: checked,
      role,
      full: role !== null && (await reads.memberships(checked)).joined >= limits.joined,
      actor: { kind: 'user', user: call.userId, device: call.device?.id, platform: call.platform },
    };
    const unit: Unit<MemberChanged> = {
      space: id,
      needs: { members: [call.userId, command.userId], owners: true },
      decide: (state, nowMs) => decide(state, { ...command, nowMs }),
      correlationId: call.correlationId,
      traceparent: call.traceparent,
    };
    const method = role === null ? 'RemoveMember' : 'PutMember';
    const changed = await writer.write(
      once(sha256, unit, call, method, [id, command.userId, role]),
      call.signal,
    );
    if (changed === 'added' || changed === 'removed') news.tell(command.userId, id);
  };

  return {
    /** All spaces of the person, the personal one among them, with how far this device has got. */
    openSession: async (call: Call, device: DeviceInfo): Promise<readonly SpaceView[]> => {
      await names.resolve(call.userId, personalAlias);
      await sightings.note({ userId: call.userId, device, login: call.login });
      return (await sessionOf(JSON.stringify([call.userId, device.id]))) ?? [];
    },
    listSpaces: async (call: Call, page: PageRequest): Promise<Page<SpaceView>> => {
      await names.resolve(call.userId, personalAlias);
      return reads.spacesOf(call.userId, page);
    },
    getSpace: (call: Call, space: string): Promise<SpaceView> => visibleSpace(parts, call, space),
    /** A team space; the same key again gives the same space, with another title it is refused. */
    createSpace: async (call: Call, title: string, key: string): Promise<SpaceView> => {
      const checked = checkedText('title', title, { max: titleBytes });
      const id = key === '' ? ids.next() : v5(JSON.stringify([call.userId, key]), teamNamespace);
      const { made } = await reads.memberships(call.userId);
      if (made >= limits.made && !(await reads.spaceOf(call.userId, id)))
        throw new AppError('forbidden', `One person has at most ${limits.made} spaces`);
      const stored = await maker.make({
        id,
        kind: 'team',
        title: checked,
        epoch: ids.epoch(),
        owner: call.userId,
        nowMs: clock.now(),
      });
      if (stored !== checked) throw new AppError('idempotency_mismatch');
      news.tell(call.userId, id);
      return visibleSpace(parts, call, id);
    },
    listMembers: async (
      call: Call,
      space: string,
      page: PageRequest,
    ): Promise<Page<{ userId: string; role: Role }>> => {
      const { id } = await visibleSpace(parts, call, space);
      return reads.membersOf(id, page);
    },
    putMember: async (call: Call, space: string, userId: string, role: string): Promise<Role> => {
      const checked = checkedOneOf('role', role, ['owner', 'editor', 'viewer']);
      await member(call, space, userId, changeMember, checked);
      return checked;
    },
    removeMember: (call: Call, space: string, userId: string): Promise<void> =>
      member(call, space, userId, removeMember, null),
  };
};
