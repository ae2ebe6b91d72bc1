import { AppError, type DomainEvent } from '@skein/contracts';
import type { DueMail, Mail, Mailer, MailQueue } from './ports.ts';

/** Waits after the first, second … attempt; after the last one it is given up: about five hours. */
export const mailBackoffMs: readonly number[] = [30_000, 120_000, 600_000, 1_800_000, 3_600_000, 10_800_000];

interface Deps {
  readonly queue: MailQueue;
  readonly mailer: Mailer;
  /** What is to be sent; rejects with `not_found` when whoever or whatever it is about is not there any more. */
  readonly letterOf: (event: DomainEvent) => Promise<Omit<Mail, 'id'> | undefined>;
  readonly backoffMs: readonly number[];
}

/** What became of one attempt. */
export type Attempt =
  | { readonly outcome: 'sent' | 'gone' }
  | { readonly outcome: 'later' | 'given up'; readonly why: string };

/** One attempt of one mail, and what follows from it. */
export const sendMail =
  ({ queue, mailer, letterOf, backoffMs }: Deps) =>
  async (due: DueMail): Promise<Attempt> => {
    const { event, attempt } = due;
    const again = async (why: string): Promise<Attempt> => {
      const delayMs = backoffMs[attempt - 1];
      if (delayMs === undefined) {
        await queue.giveUp(due, why);
        return { outcome: 'given up', why };
      }
      await queue.later(event.id, delayMs);
      return { outcome: 'later', why };
    };

    const letter = await letterOf(event).catch((error: unknown) => error as Error);
    if (!letter || (letter instanceof AppError && letter.code === 'not_found')) {
      await queue.done(event.id);
      return { outcome: 'gone' };
    }
    // Whoever knows the address is away.
    if (letter instanceof Error) return again(String(letter));
    const sent = await mailer.send({ ...letter, id: event.id });
    if (sent.outcome === 'sent') {
      await queue.done(event.id);
      return { outcome: 'sent' };
    }
    if (!sent.final) return again(sent.why);
    await queue.giveUp(due, sent.why);
    return { outcome: 'given up', why: sent.why };
  };
