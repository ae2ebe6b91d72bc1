import type { InvitationCounts } from '../domain/invitation.ts';
import type { InvitationRow } from '../domain/invitation-row.ts';
import type { Role } from '../domain/state.ts';
import type { AppParts } from './parts.ts';
import type { Call } from './ports.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** A week, unless said. */
export const defaultHours = 7 * 24;

/** Whom one invites: a person, an address, or (neither) whoever has the code. */
export interface Guest {
  readonly space: string;
  readonly role: Role;
  readonly userId: string | null;
  readonly email: string | null;
  readonly hours: number;
}

/** An invitation as it is to be written, and what bounds it; several at once may go a few above. */
export const newInvitation =
  ({ ids, clock, invitations }: Pick<AppParts, 'ids' | 'clock' | 'invitations'>) =>
  async (
    call: Call,
    { space, role, userId, email, hours }: Guest,
  ): Promise<{ readonly invitation: InvitationRow; readonly counts: InvitationCounts }> => {
    const nowMs = clock.now();
    const invitation: InvitationRow = {
      id: ids.next(),
      ...{ space, role, userId, email, code: ids.code(), createdBy: call.userId },
      ...{ createdAtMs: nowMs, expiresAtMs: nowMs + hours * hourMs },
      ...{ ended: false, acceptedBy: null, personEmail: null, mailed: false },
    };
    return { invitation, counts: await invitations.count(invitation, nowMs - dayMs) };
  };
