import { type Decision, refuse, unchanged } from './decision.ts';
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

/** What became of the person. */
export type InvitationAccepted = 'added' | 'unchanged';

/** An address as addresses are compared. */
export const comparableEmail = (email: string): string => email.trim().normalize('NFC').toLowerCase();

/** One answer to every code that opens nothing: it must not tell codes, people and addresses apart. */
export const invalidInvitation = 'This invitation is not valid';

/** Whether this person may still use it. */
export const isOpenFor = (
  { acceptedBy, expiresAtMs, email }: InvitationRow,
  person: { readonly email: string; readonly nowMs: number },
): boolean =>
  acceptedBy === null &&
  expiresAtMs > person.nowMs &&
  (email === null || email === comparableEmail(person.email));

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
