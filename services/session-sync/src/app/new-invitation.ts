import { AppError } from '@skein/contracts';
import { v5 } from 'uuid';
import type { InvitationRow, Role } from '../domain/state.ts';
import type { InvitationCounts } from './invitation-store.ts';
import type { AppParts } from './parts.ts';
import type { Call } from './ports.ts';

/** Fixed for good: an invitation's id comes from its space, its maker and the key of the request that made it. */
const invitationNamespace = '5c8e1d7a-9b34-4f60-8a72-3e0d6f91b2c4';
/** Invitations of one space that nobody has used yet. */
const maxOpen = 100;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** Invitations of one person to people and addresses in a day: each is a mail to somebody who did not ask for it. */
const maxSent = 100;
/** Open invitations for one person or address, whoever made them. */
const maxWaiting = 100;
/** When somebody who has sent too many may look again. */
const sentRetryMs = hourMs;

/** A week, unless said. */
export const defaultHours = 7 * 24;

/** Whom one invites: a person, an address, or (neither) whoever has the code. */
export interface Invited {
  readonly space: string;
  readonly role: Role;
  readonly userId: string | null;
  readonly email: string | null;
  readonly hours: number;
  /** The same key gives the same invitation; empty: another one each time. */
  readonly key: string;
}

/** An invitation as it is to be written. */
export const newInvitation = ({ ids, clock }: Pick<AppParts, 'ids' | 'clock'>) => {
  return (call: Call, { space, role, userId, email, hours, key }: Invited): InvitationRow => {
    const nowMs = clock.now();
    return {
      id: key === '' ? ids.next() : v5(JSON.stringify([space, call.userId, key]), invitationNamespace),
      ...{ space, role, userId, email, code: ids.code(), createdBy: call.userId },
      ...{ createdAtMs: nowMs, expiresAtMs: nowMs + hours * hourMs, acceptedBy: null },
    };
  };
};

/** Why there may not be one more; undefined when there may. */
const tooMany = (
  { open, sent, waiting }: InvitationCounts,
  { userId, email }: InvitationRow,
): AppError | undefined => {
  if (open >= maxOpen) return new AppError('forbidden', `A space has at most ${maxOpen} open invitations`);
  if (userId === null && email === null) return undefined;
  if (sent >= maxSent)
    return new AppError('rate_limited', `One person invites at most ${maxSent} others a day: try tomorrow`, {
      retryAfterMs: sentRetryMs,
    });
  if (waiting >= maxWaiting)
    return new AppError('forbidden', 'As many invitations as there may be wait for them already: try later');
  return undefined;
};

/**
 * Refuses an invitation where there are enough, but never one that is there: its request has come again. Several
 * requests at once may go a few above.
 */
export const checkInvitations = async (
  { invitations }: Pick<AppParts, 'invitations'>,
  row: InvitationRow,
): Promise<void> => {
  const fault = tooMany(await invitations.count(row, row.createdAtMs - dayMs), row);
  if (fault && !(await invitations.byId(row.id))) throw fault;
};
