import { AppError } from '@skein/contracts';
import { type MailLanguage, mailLanguageOf, mailOf } from '../domain/mail.ts';
import { noticeOf } from '../domain/notice.ts';
import type { Profile } from '../domain/profile.ts';
import type { DueMail, Mailer, MailQueue } from './ports.ts';

/** Waits after the first, second … attempt; after the last one it is given up: about five hours. */
export const mailBackoffMs: readonly number[] = [30_000, 120_000, 600_000, 1_800_000, 3_600_000, 10_800_000];

interface Deps {
  readonly queue: MailQueue;
  readonly mailer: Mailer;
  /** The person's profile; rejects with `not_found` when there is no such account any more. */
  readonly profileOf: (userId: string) => Promise<Profile>;
  readonly language: () => MailLanguage;
  readonly backoffMs: readonly number[];
}

/** What became of one attempt. */
export type Attempt =
  | { readonly outcome: 'sent' | 'gone' }
  | { readonly outcome: 'later' | 'given up'; readonly why: string };

/** One attempt of one mail, and what follows from it. */
export const sendMail =
  ({ queue, mailer, profileOf, language, backoffMs }: Deps) =>
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

    const notice = noticeOf(event);
    const profile = notice && (await profileOf(notice.userId).catch((error: unknown) => error as Error));
    if (!notice || (profile instanceof AppError && profile.code === 'not_found')) {
      await queue.done(event.id);
      return { outcome: 'gone' };
    }
    // Whoever knows the address is away.
    if (profile instanceof Error || !profile) return again(String(profile));
    const words = mailOf(notice, profile, mailLanguageOf(profile.locale, language()));
    const to = { name: profile.displayName, address: profile.email };
    const sent = await mailer.send({ ...words, id: event.id, to });
    if (sent.outcome === 'sent') {
      await queue.done(event.id);
      return { outcome: 'sent' };
    }
    if (!sent.final) return again(sent.why);
    await queue.giveUp(due, sent.why);
    return { outcome: 'given up', why: sent.why };
  };
