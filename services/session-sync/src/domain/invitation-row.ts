import type { Role } from './role.ts';

/**
 * An open door for one person: for `userId` alone, or for an account of the address `email` alone, or for whoever has
 * the code.
 */
export interface InvitationRow {
  readonly id: string;
  readonly space: string;
  readonly role: Role;
  readonly code: string;
  readonly userId: string | null;
  readonly email: string | null;
  readonly createdBy: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  /** Before its time: taken back, declined, or overtaken by what was decided since. No clock has a say in that. */
  readonly ended: boolean;
  /** The person who came in by it; the row stays as long as the person does. */
  readonly acceptedBy: string | null;
  /** Address of the account of who accepted or declined it. */
  readonly personEmail: string | null;
  /** Whether whom it is for is to be told by a mail. */
  readonly mailed: boolean;
}

/** The use of an invitation by who comes in, as long as nobody has used or ended it. */
export interface InvitationUseRow {
  readonly id: string;
  readonly space: string;
  readonly usedBy: string;
  readonly personEmail: string;
}
