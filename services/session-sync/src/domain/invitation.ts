import { type Decision, refuse, requireRole, unchanged } from './decision.ts';
import type { Actor } from './event.ts';
import type { InvitationRow, SpaceState } from './state.ts';

/** A person comes in by an invitation. */
export interface AcceptInvitation {
  readonly userId: string;
  /** Address of the person's account. */
  readonly email: string;
  readonly invitationId: string;
  readonly actor: Actor;
  /** The person is in as many spaces of others as one may be. */
  readonly full: boolean;
  readonly nowMs: number;
}

/** An owner invites one person, or whoever has the code. */
export interface Invite {
  /** As it is to be, but for its times: it lasts as long as they are apart. */
  readonly invitation: InvitationRow;
  readonly actor: Actor;
  readonly nowMs: number;
}

/** What became of the person. */
export type InvitationAccepted = 'added' | 'unchanged';

/** An address as addresses are compared. */
export const comparableEmail = (email: string): string => email.trim().normalize('NFC').toLowerCase();

/** One answer to every code that opens nothing: it must not tell codes, people and addresses apart. */
export const invalidInvitation = 'This invitation is not valid';

/** Whether this person may still use it. */
export const isOpenFor = (
  { acceptedBy, expiresAtMs, email, userId }: InvitationRow,
  person: { readonly userId: string; readonly email: string; readonly nowMs: number },
): boolean =>
  acceptedBy === null &&
  expiresAtMs > person.nowMs &&
  (userId === null || userId === person.userId) &&
  (email === null || email === comparableEmail(person.email));

/**
 * Invites; owners only. Answers with what there is when the same is there already; another one for the same person
 * takes its place. The event names neither person nor address: who has not accepted leaves no trace in the space.
 */
export const invite = (state: SpaceState, { invitation, actor, nowMs }: Invite): Decision<InvitationRow> => {
  const denied = requireRole(state, invitation.createdBy, 'owner');
  if (denied) return denied;
  if (state.kind === 'personal') return refuse('forbidden', 'A personal space has one member');
  const stored = state.invitations.get(invitation.id);
  if (stored) return unchanged(stored);
  const { userId, role } = invitation;
  const open = [...state.invitations.values()].filter(
    (one) => userId !== null && one.userId === userId && one.acceptedBy === null && one.expiresAtMs > nowMs,
  );
  const same = open.find((one) => one.role === role && state.roles.get(one.createdBy) === 'owner');
  if (same) return unchanged(same);
  const lastingMs = invitation.expiresAtMs - invitation.createdAtMs;
  const made = { ...invitation, createdAtMs: nowMs, expiresAtMs: nowMs + lastingMs };
  const addressed = userId !== null || made.email !== null;
  const data = { invitation: made.id, role, ...(addressed ? { addressed } : {}) };
  return {
    result: made,
    events: [{ type: 'member.invited', actor, data }],
    writes: { invitations: [...open.map((one) => ({ ...one, expiresAtMs: nowMs })), made] },
  };
};

/**
 * Lets a person in, once per invitation, as long as whoever made it is still an owner. Who is in already stays as
 * they are, and the invitation stays open; who came in by it is told the same again.
 */
export const acceptInvitation = (
  state: SpaceState,
  command: AcceptInvitation,
): Decision<InvitationAccepted> => {
  const { userId, actor, nowMs, invitationId, full } = command;
  const invitation = state.invitations.get(invitationId);
  if (!invitation) return refuse('not_found', invalidInvitation);
  const isIn = state.roles.has(userId);
  if (isIn && invitation.acceptedBy === userId) return unchanged('unchanged');
  if (!isOpenFor(invitation, command) || state.roles.get(invitation.createdBy) !== 'owner')
    return refuse('not_found', invalidInvitation);
  if (isIn) return unchanged('unchanged');
  if (full) return refuse('forbidden', 'You are in too many spaces: leave one first');
  const { role, createdBy } = invitation;
  return {
    result: 'added',
    events: [
      { type: 'member.added', actor, data: { userId, role, invitation: invitationId, invitedBy: createdBy } },
    ],
    writes: { members: [{ space: state.id, userId, role, joinedAtMs: nowMs, invitation: invitationId }] },
  };
};
