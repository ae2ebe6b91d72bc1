import type { InvitationRow } from '../domain/state.ts';
import type { Page, PageRequest } from './ports.ts';

/** Invitations, but for their use, which is part of a space's log. */
export interface InvitationStore {
  byId(id: string): Promise<TitledInvitation | undefined>;
  /** What there is beside this one: of the space, by its maker since a time, and for whom it is for. */
  count(row: InvitationRow, sinceMs: number): Promise<InvitationCounts>;
  /** Those that can still be used, by id. */
  open(space: string, nowMs: number, page: PageRequest): Promise<Page<InvitationRow>>;
  /** Those for the person alone that can still be used, by id. */
  received(userId: string, nowMs: number, page: PageRequest): Promise<Page<TitledInvitation>>;
  /** Ends one before its time; undefined when there was none to use. */
  end(space: string, id: string, nowMs: number): Promise<Pick<InvitationRow, 'userId'> | undefined>;
  byCode(code: string): Promise<TitledInvitation | undefined>;
}

/** With the title of its space. */
export type TitledInvitation = InvitationRow & { readonly title: string };

/** What bounds another invitation. */
export interface InvitationCounts {
  /** Of the space, that can be used. */
  readonly open: number;
  /** By the maker since the time, for somebody: each is a mail. */
  readonly sent: number;
  /** For the same person or address, that can be used. */
  readonly waiting: number;
}
