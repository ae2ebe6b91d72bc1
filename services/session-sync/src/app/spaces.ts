import { AppError } from '@skein/contracts';
import { v5 } from 'uuid';
import type { Decision } from '../domain/decision.ts';
import type { Actor } from '../domain/event.ts';
import { type ChangeMember, type MemberChanged, putMember, removeMember } from '../domain/member.ts';
import type { Role, SpaceState } from '../domain/state.ts';
import { coalesce } from './live/coalesce.ts';
import type { MembershipNews } from './membership-news.ts';
import { defaultHours, newInvitation } from './new-invitation.ts';
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
  const { writer, sha256, reads, maker, sightings, names, invitations, ids, clock } = parts;
  const invitationOf = newInvitation(parts);

  // After a gateway has gone thousands come at once: they cost a few queries.
  const sessionOf = coalesce(sessionsPerQuery, async (keys) => {
    const devices = keys.map((key) => {
      const [userId, device] = JSON.parse(key) as [string, string];
      return { userId, device };
    });
    const sessions = await reads.sessionsOf(devices, sessionSpaces);
    return new Map(keys.map((key, at) => [key, sessions[at] ?? []]));
  });

  /** Changes who is in a space, once per idempotency key; `decide` gets the space's owners and both people's roles. */
  const change = (
    call: Call,
    space: string,
    { userId, role }: { readonly userId: string; readonly role: Role | null },
    decide: (state: SpaceState, command: ChangeMember) => Decision<MemberChanged>,
  ): Promise<MemberChanged> => {
    const actor: Actor = {
      ...{ kind: 'user', user: call.userId, device: call.device?.id, platform: call.platform },
    };
    const unit: Unit<MemberChanged> = {
      space,
      needs: { members: [call.userId, userId], owners: true, invited: [{ userId }] },
      decide: (state, nowMs) => decide(state, { by: call.userId, userId, role, actor, nowMs }),
      correlationId: call.correlationId,
      traceparent: call.traceparent,
    };
    const method = role === null ? 'RemoveMember' : 'PutMember';
    return writer.write(once(sha256, unit, call, method, [space, userId, role]), call.signal);
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
    /** Changes the role of a member, and invites who is none. */
    putMember: async (
      call: Call,
      name: string,
      person: string,
      wanted: string,
    ): Promise<{ readonly role: Role; readonly invited: boolean }> => {
      const role = checkedOneOf('role', wanted, ['owner', 'editor', 'viewer']);
      const space = await names.resolve(call.userId, name);
      const userId = checkedText('userId', person, { max: nameBytes });
      if (await reads.isErased(userId)) throw new AppError('not_found', 'There is no such person');
      const made = await invitationOf(call, { space, role, userId, email: null, hours: defaultHours });
      const changed = await change(call, space, { userId, role }, (state, command) =>
        putMember(state, { ...command, ...made }),
      );
      // A repetition has made none, and who has had enough of them finds it without being told.
      const told = changed === 'invited' ? await invitations.byId(made.invitation.id) : undefined;
      if (told?.mailed) news.invitation(userId, told.id, 'open');
      return { role, invited: changed === 'invited' || changed === 'waiting' };
    },
    removeMember: async (call: Call, name: string, person: string): Promise<void> => {
      const space = await names.resolve(call.userId, name);
      const userId = checkedText('userId', person, { max: nameBytes });
      const changed = await change(call, space, { userId, role: null }, removeMember);
      if (changed === 'removed') news.tell(userId, space);
    },
  };
};
