import { type Decision, refuse, requireRole, unchanged } from './decision.ts';
import type { Actor } from './event.ts';
import type { InvitationRow } from './invitation-row.ts';
import type { SpaceState, Writes } from './state.ts';

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

/** What there is beside an invitation that is to be made. */
export interface InvitationCounts {
  /** Of the space, that can be used. */
  readonly open: number;
  /** By the maker in a day, for somebody. */
  readonly sent: number;
  /** By the maker for the same person or address, that can be used. */
  readonly waiting: number;
  /** Mails in a day to the same person or address, by the maker and by anybody, whatever has become of the invitations. */
  readonly mailsOfMaker: number;
  readonly mails: number;
  /** Whether the person or address has lately declined to come into the space. */
  readonly declined: boolean;
}

/** An owner invites one person, or whoever has the code. */
export interface Invite {
  /** As it is to be, but for its times and whether it is mailed: it lasts as long as they are apart. */
  readonly invitation: InvitationRow;
  readonly counts: InvitationCounts;
  readonly actor: Actor;
  readonly nowMs: number;
}

/** What became of the person. */
export type InvitationAccepted = 'added' | 'unchanged';

const hourMs = 3_600_000;
/** Open invitations of one space. */
const maxOpen = 100;
/** Invitations of one person to people and addresses in a day: each is something for somebody who did not ask for it. */
const maxSent = 100;
/** Open invitations by one person for the same one: others do not keep anybody from inviting, nor tell of themselves. */
const maxWaiting = 20;
/** Mails in a day to one person or address: what is beyond them is found by who looks. */
const maxMails = { ofMaker: 3, ofAll: 20 };

/** An address as addresses are compared. */
export const comparableEmail = (email: string): string => email.trim().normalize('NFC').toLowerCase();

/** One answer to every code that opens nothing: it must not tell codes, people and addresses apart. */
export const invalidInvitation = 'This invitation is not valid';

const isUnused = ({ acceptedBy, ended, expiresAtMs }: InvitationRow, nowMs: number): boolean =>
  acceptedBy === null && !ended && expiresAtMs > nowMs;

/** An invitation that can be used no more. */
const endOf = (invitation: InvitationRow, nowMs: number): InvitationRow => ({
  ...invitation,
  ...{ ended: true, expiresAtMs: nowMs },
});

/** Whether whoever it is for may use it: the one condition of all that is done with invitations. */
export const isOpen = (
  invitation: InvitationRow,
  { makerOwns, nowMs }: { readonly makerOwns: boolean; readonly nowMs: number },
): boolean => isUnused(invitation, nowMs) && makerOwns;

/** A person before the door of a space, or inside. */
export interface Visitor {
  readonly userId: string;
  readonly email: string;
  readonly isIn: boolean;
  /** Whether the maker of the invitation is an owner. */
  readonly makerOwns: boolean;
  readonly nowMs: number;
}

/** Whether this person may still use it. */
export const isOpenFor = (invitation: InvitationRow, person: Omit<Visitor, 'isIn'>): boolean =>
  isOpen(invitation, person) &&
  (invitation.userId === null || invitation.userId === person.userId) &&
  (invitation.email === null || invitation.email === comparableEmail(person.email));

/** Whether its code opens the space to this person: it is open, or the person is in by it. */
export const opensFor = (invitation: InvitationRow, person: Visitor): boolean =>
  (person.isIn && invitation.acceptedBy === person.userId) || isOpenFor(invitation, person);

/** Why it cannot be made, if so. What the maker is told is about the space and the maker's own doing alone. */
const tooMany = (
  { userId, email }: InvitationRow,
  { open, sent, waiting }: InvitationCounts,
): ReturnType<typeof refuse> | undefined => {
  if (open >= maxOpen) return refuse('forbidden', `A space has at most ${maxOpen} open invitations`);
  if (userId === null && email === null) return undefined;
  if (sent >= maxSent) {
    const { refused } = refuse(
      'rate_limited',
      `One person invites at most ${maxSent} others a day: try tomorrow`,
    );
    return { refused: { ...refused, retryAfterMs: hourMs } };
  }
  if (waiting >= maxWaiting)
    return refuse(
      'forbidden',
      `You have ${maxWaiting} open invitations for them already: take one back first`,
    );
  return undefined;
};

const isMailed = (counts: InvitationCounts): boolean =>
  counts.mailsOfMaker < maxMails.ofMaker && counts.mails < maxMails.ofAll && !counts.declined;

/**
 * Invites; owners only. Answers with the id of the same when it is there already; another one for the same person
 * takes its place. The event names neither person nor address: who has not accepted leaves no trace in the space. Who
 * has had enough mails gets none, and neither event nor answer says so.
 */
export const invite = (state: SpaceState, { invitation, counts, actor, nowMs }: Invite): Decision<string> => {
  const denied = requireRole(state, invitation.createdBy, 'owner');
  if (denied) return denied;
  if (state.kind === 'personal') return refuse('forbidden', 'A personal space has one member');
  const { userId, role } = invitation;
  const open = [...state.invitations.values()].filter(
    (one) => userId !== null && one.userId === userId && isUnused(one, nowMs),
  );
  const same = open.find((one) => one.role === role && state.roles.get(one.createdBy) === 'owner');
  if (same) return unchanged(same.id);
  const refused = tooMany(invitation, { ...counts, open: counts.open - open.length });
  if (refused) return refused;
  const lastingMs = invitation.expiresAtMs - invitation.createdAtMs;
  const addressed = userId !== null || invitation.email !== null;
  const made: InvitationRow = {
    ...invitation,
    ...{ createdAtMs: nowMs, expiresAtMs: nowMs + lastingMs, mailed: addressed && isMailed(counts) },
  };
  const data = { invitation: made.id, role, ...(addressed ? { addressed } : {}) };
  return {
    result: made.id,
    events: [{ type: 'member.invited', actor, data }],
    writes: { invitations: [...open.map((one) => endOf(one, nowMs)), made] },
  };
};

/** Whom invitations are for. */
export interface Invited {
  readonly userId: string;
  /** Of the account, when it is known. */
  readonly email?: string;
}

/**
 * Ends the open invitations of a person, those for an address the person has among them: whatever was decided about
 * the person last holds, and nobody comes back by what was decided before.
 */
export const endInvitations = (
  state: SpaceState,
  { userId, email = '' }: Invited,
  nowMs: number,
  except?: string,
): readonly InvitationRow[] => {
  const all = [...state.invitations.values()];
  const addresses = new Set([comparableEmail(email)]);
  for (const one of all)
    if (one.acceptedBy === userId && one.personEmail !== null) addresses.add(one.personEmail);
  const isTheirs = (one: InvitationRow) =>
    one.userId === null ? one.email !== null && addresses.has(one.email) : one.userId === userId;
  return all
    .filter((one) => one.id !== except && isUnused(one, nowMs) && isTheirs(one))
    .map((one) => endOf(one, nowMs));
};

/** What goes of a person's invitations when the person does: open ones end, used ones are of no use any more. */
export const leaveInvitations = (
  state: SpaceState,
  userId: string,
  nowMs: number,
): Required<Pick<Writes, 'invitations' | 'invitationsGone'>> => ({
  invitations: endInvitations(state, { userId }, nowMs),
  invitationsGone: [...state.invitations.values()]
    .filter(({ acceptedBy }) => acceptedBy === userId)
    .map(({ id, space }) => ({ id, space })),
});

/**
 * Lets a person in, once per invitation, as long as whoever made it is still an owner; the person's other ones end. Who
 * is in already stays as they are, and the invitation stays open; who came in by it is told the same again.
 */
export const acceptInvitation = (
  state: SpaceState,
  command: AcceptInvitation,
): Decision<InvitationAccepted> => {
  const { userId, email, actor, nowMs, invitationId, full } = command;
  const invitation = state.invitations.get(invitationId);
  const isIn = state.roles.has(userId);
  const makerOwns = invitation !== undefined && state.roles.get(invitation.createdBy) === 'owner';
  if (!invitation || !opensFor(invitation, { userId, email, isIn, makerOwns, nowMs }))
    return refuse('not_found', invalidInvitation);
  if (isIn) return unchanged('unchanged');
  if (full) return refuse('forbidden', 'You are in too many spaces: leave one first');
  const { role, createdBy, space } = invitation;
  const personEmail = comparableEmail(email);
  return {
    result: 'added',
    events: [
      { type: 'member.added', actor, data: { userId, role, invitation: invitationId, invitedBy: createdBy } },
    ],
    writes: {
      members: [{ space: state.id, userId, role, joinedAtMs: nowMs }],
      invitations: endInvitations(state, { userId, email }, nowMs, invitationId),
      invitationUses: [{ id: invitationId, space, usedBy: userId, personEmail }],
    },
  };
};
