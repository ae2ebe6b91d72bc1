import { AppError } from '@skein/contracts';
import type { Clock } from '@skein/service-kit';
import { leaveForGood } from '../domain/member.ts';
import type { Role } from '../domain/state.ts';
import type { Writer } from './writer.ts';

/** A space a person is in, or was. */
export interface PersonsSpace {
  readonly id: string;
  readonly member: boolean;
  /** Who has most say in it without the person; undefined when nobody is left. */
  readonly heir: { readonly userId: string; readonly role: Role } | undefined;
}

/** Removing what is kept of a person. Every part of it can be repeated. */
export interface Erasures {
  /** From now on nothing new is kept about the person, and nobody comes in by an invitation of theirs. */
  forbid(userId: string, nowMs: number): Promise<void>;
  spacesOf(userId: string): Promise<readonly PersonsSpace[]>;
  /** Turns of others whose answers quote what the person wrote in a space. */
  quotedIn(space: string, userId: string, signal: AbortSignal): Promise<readonly string[]>;
  /**
   * Takes the person out of the log of a space and out of everything that follows from it, at one moment: offsets stay,
   * the epoch is another one.
   */
  redact(space: string, userId: string, quoted: readonly string[], signal: AbortSignal): Promise<void>;
  /** Removes a space nobody but the person is in, if it is one; of its ledger the chain stays. */
  drop(space: string, userId: string, signal: AbortSignal): Promise<boolean>;
  /** Ends and forgets the sagas about the person. */
  forgetSagas(userId: string): Promise<void>;
  /** What belongs to no space: devices, logins, answers to requests, invitations by or for the person. */
  forget(userId: string, email: string): Promise<void>;
  /** What was published about a space, or about the person in it. */
  forgetEvents(space: string, userId: string | undefined, signal: AbortSignal): Promise<void>;
}

/** What erasing is made of. */
export interface ErasingParts {
  readonly erasures: Erasures;
  readonly writer: Writer;
  readonly clock: Clock;
  /** Has the agent empty what it keeps of these turns. */
  readonly forgetTurns: (turns: readonly string[]) => Promise<void>;
}

/** Until when, and under which id. */
export interface ErasingCall {
  readonly signal: AbortSignal;
  readonly correlationId: string;
}

/**
 * Erases a person: the own space is gone with those nobody else is in; in the others they have left, and what they
 * wrote is not there any more. Whoever had the most say after them owns a space that would have no owner.
 */
export const erasePerson =
  ({ erasures, writer, clock, forgetTurns }: ErasingParts) =>
  async (person: { readonly userId: string; readonly email: string }, call: ErasingCall): Promise<void> => {
    const { userId, email } = person;
    const { signal, correlationId } = call;
    await erasures.forbid(userId, clock.now());
    await erasures.forgetSagas(userId);
    for (const space of await erasures.spacesOf(userId)) {
      const { id } = space;
      if (!space.heir && (await erasures.drop(id, userId, signal))) {
        await erasures.forgetEvents(id, undefined, signal);
        continue;
      }
      // Somebody may have come in since the spaces were read.
      const now = space.heir ? space : (await erasures.spacesOf(userId)).find((one) => one.id === id);
      const heir = now?.heir;
      if (!heir) throw new AppError('unavailable', 'Whoever came into the space has left it: ask again');
      if (now.member)
        await writer.write(
          {
            space: id,
            needs: {
              ...{ members: [userId, heir.userId], owners: true },
              invited: [{ userId }, { userId: heir.userId }],
            },
            decide: (state, nowMs) => leaveForGood(state, { userId, heir: heir.userId, nowMs }),
            correlationId,
          },
          signal,
        );
      const quoted = await erasures.quotedIn(id, userId, signal);
      if (quoted.length > 0) await forgetTurns(quoted);
      await erasures.redact(id, userId, quoted, signal);
      await erasures.forgetEvents(id, userId, signal);
    }
    await erasures.forget(userId, email);
  };
