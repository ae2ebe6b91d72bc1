import type { InvitationCounts } from '../domain/invitation.ts';
import type { InvitationRow } from '../domain/invitation-row.ts';
import type { Page, PageRequest } from './ports.ts';

/** Invitations, but for their use, which is part of a space's log. */
export interface InvitationStore {
  byId(id: string): Promise<FoundInvitation | undefined>;
  /** What there is beside this one; of what was sent and mailed, what was since a time. */
  count(row: InvitationRow, sinceMs: number): Promise<InvitationCounts>;
  /** Those that can still be used, by id. */
  open(space: string, nowMs: number, page: PageRequest): Promise<Page<InvitationRow>>;
  /** Those for the person alone that can still be used, by id. */
  received(userId: string, nowMs: number, page: PageRequest): Promise<Page<FoundInvitation>>;
  /** Ends one before its time, for a person who declines or else for the space; undefined when there was none to use. */
  end(
    row: Pick<InvitationRow, 'space' | 'id'>,
    nowMs: number,
    declines?: { readonly userId: string; readonly email: string },
  ): Promise<Pick<InvitationRow, 'userId'> | undefined>;
  /** With whether the person is in its space. */
  byCode(code: string, userId: string): Promise<(FoundInvitation & { readonly isIn: boolean }) | undefined>;
}

/** With the title of its space, and whether its maker is an owner there. */
export type FoundInvitation = InvitationRow & { readonly title: string; readonly makerOwns: boolean };
