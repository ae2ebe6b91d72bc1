import { type Decision, refuse, requireRole, unchanged } from './decision.ts';
import type { Actor, NewEvent } from './event.ts';
import { endInvitations, type InvitationCounts, invite, leaveInvitations } from './invitation.ts';
import type { InvitationRow } from './invitation-row.ts';
import type { Role, SpaceState } from './state.ts';

/** A member changes or goes (`role` null). */
export interface ChangeMember {
  readonly by: string;
  readonly userId: string;
  readonly role: Role | null;
  readonly actor: Actor;
  readonly nowMs: number;
}

const isLastOwner = (state: SpaceState, userId: string): boolean =>
  state.roles.get(userId) === 'owner' &&
  [...state.roles.values()].filter((role) => role === 'owner').length === 1;

/** What became of a person: only going changes who follows the space. */
export type MemberChanged = 'invited' | 'waiting' | 'changed' | 'removed' | 'unchanged';

/**
 * Changes the role of a member; owners only. Needs the roles of both people and of all owners, and the invitations of
 * the member, which end: another role holds also for who leaves and wants to come back.
 */
export const changeMember = (state: SpaceState, command: ChangeMember): Decision<MemberChanged> => {
  const { userId, role, actor, nowMs } = command;
  const denied = requireRole(state, command.by, 'owner');
  if (denied) return denied;
  if (state.kind === 'personal') return refuse('forbidden', 'A personal space has one member');
  const before = state.roles.get(userId);
  if (!before) return refuse('not_found', 'There is no such member');
  const invitations = endInvitations(state, { userId }, nowMs);
  if (before === role) return { ...unchanged('unchanged'), writes: { invitations } };
  if (role !== 'owner' && isLastOwner(state, userId)) return refuse('forbidden', 'A space keeps one owner');
  return {
    result: 'changed',
    events: [{ type: 'member.changed', actor, data: { userId, role } }],
    writes: { members: [{ space: state.id, userId, role, joinedAtMs: nowMs }], invitations },
  };
};

/**
 * Gives a person a role: at once to who is in the space, else by an invitation, because nobody comes in without
 * wanting to. The same role for who is invited already changes nothing, another one takes the place of the first.
 */
export const putMember = (
  state: SpaceState,
  command: ChangeMember & { readonly invitation: InvitationRow; readonly counts: InvitationCounts },
): Decision<MemberChanged> => {
  if (state.roles.has(command.userId)) return changeMember(state, command);
  const invited = invite(state, command);
  if ('refused' in invited) return invited;
  return { ...invited, result: invited.events.length > 0 ? 'invited' : 'waiting' };
};

/** Owners remove anybody, everybody may leave, the last owner stays. Nobody comes back by an older invitation. */
export const removeMember = (state: SpaceState, command: ChangeMember): Decision<MemberChanged> => {
  const { by, userId, actor, nowMs } = command;
  const denied = requireRole(state, by, by === userId ? 'viewer' : 'owner');
  if (denied) return denied;
  if (!state.roles.has(userId)) return refuse('not_found', 'There is no such member');
  if (isLastOwner(state, userId)) return refuse('forbidden', 'A space keeps one owner');
  return {
    result: 'removed',
    events: [{ type: 'member.removed', actor, data: { userId } }],
    writes: {
      members: [{ space: state.id, userId, role: null, joinedAtMs: nowMs }],
      ...leaveInvitations(state, userId, nowMs),
    },
  };
};

/** A person who is being erased leaves; nobody keeps them. */
export interface LeaveForGood {
  readonly userId: string;
  /** Becomes an owner when the space would have none. */
  readonly heir: string;
  readonly nowMs: number;
}

/** Takes a person out of a space whatever their role. Somebody else must be in it. */
export const leaveForGood = (
  state: SpaceState,
  { userId, heir, nowMs }: LeaveForGood,
): Decision<undefined> => {
  if (!state.roles.has(userId)) return unchanged(undefined);
  const actor: Actor = { kind: 'system', platform: 'skein' };
  const removed = { space: state.id, userId, role: null, joinedAtMs: nowMs };
  const left: NewEvent = { type: 'member.removed', actor, data: { userId } };
  const { invitations, invitationsGone } = leaveInvitations(state, userId, nowMs);
  if (!isLastOwner(state, userId))
    return {
      result: undefined,
      events: [left],
      writes: { members: [removed], invitations, invitationsGone },
    };
  // The heir has left meanwhile: ask again who is there.
  if (!state.roles.has(heir)) return refuse('superseded', 'Whoever was to own the space has left it');
  const follows = { space: state.id, userId: heir, role: 'owner', joinedAtMs: nowMs } as const;
  const changed: NewEvent = { type: 'member.changed', actor, data: { userId: heir, role: 'owner' } };
  const ended = [...invitations, ...endInvitations(state, { userId: heir }, nowMs)];
  return {
    result: undefined,
    events: [changed, left],
    writes: { members: [follows, removed], invitations: ended, invitationsGone },
  };
};
