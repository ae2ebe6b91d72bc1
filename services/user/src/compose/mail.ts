import { type DomainEvent, syncV1 } from '@skein/contracts';
import { type Consumer, consume, type EventBus } from '@skein/events';
import type { Platform } from '@skein/platform';
import type { Database, Tx } from '@skein/postgres';
import { type CallContext, rootContext } from '@skein/rpc';
import { ConfigError, must, type Service } from '@skein/service-kit';
import { mailConsumer, postgresMailQueue, queueMail } from '../adapters/postgres-mail-queue.ts';
import { followed } from '../app/follow-accounts.ts';
import { asksForLetter, letterOf } from '../app/letter.ts';
import { mailWorker } from '../app/mail-worker.ts';
import { type Attempt, mailBackoffMs, sendMail } from '../app/send-mail.ts';
import type { UserConfig } from '../config.ts';
import { readMailUrl } from '../domain/mail-url.ts';
import type { Profile } from '../domain/profile.ts';

/** A notice that is older says nothing new by mail: it is seen where the person looks next. */
const mailWithinMs = 24 * 3_600_000;

/** How long looking up who somebody is may take. */
const lookUpMs = 5_000;

/** What reaching people by mail is made of. */
export interface MailNeeds {
  readonly platform: Platform;
  readonly database: Database;
  readonly bus: EventBus;
  readonly config: UserConfig;
  /** The profile of a person, made when it is not there. */
  readonly ensure: (userId: string, call: CallContext) => Promise<Profile>;
  readonly backoffMs?: readonly number[] | undefined;
}

/** The parts of reaching people by mail; none without a mail server, and then its client is not even loaded. */
export const mailParts = async ({
  platform,
  database,
  bus,
  config,
  ensure,
  backoffMs = mailBackoffMs,
}: MailNeeds): Promise<{ readonly parts: readonly Service[]; readonly consumers: readonly Consumer[] }> => {
  const { log, metrics } = platform;
  if (config.MAIL_URL === '') return { parts: [], consumers: [] };
  if (config.MAIL_FROM === '')
    throw new ConfigError(['MAIL_FROM is required with MAIL_URL: who mails are from']);
  const { smtpMailer } = await import('../adapters/smtp-mailer.ts');
  const queue = postgresMailQueue(database);
  const attempts = metrics.counter('skein_mail_attempts_total', 'Attempts to send a mail, by outcome');
  const spaces = platform.client(syncV1.SyncServiceService, 'session-sync', {
    retryable: ['lookUpInvitation'],
  });
  const send = sendMail({
    queue,
    mailer: smtpMailer({ server: readMailUrl(config.MAIL_URL), from: config.MAIL_FROM }),
    letterOf: letterOf({
      profileOf: (userId) => ensure(userId, rootContext({ timeoutMs: lookUpMs })),
      invitationOf: async (invitationId) => {
        const { found } = await spaces.lookUpInvitation(
          { invitationId },
          rootContext({ timeoutMs: lookUpMs }),
        );
        const { invitation, title } = must(found, 'session-sync answers with an invitation');
        return { ...must(invitation, 'an invitation is whole'), title };
      },
      language: () => config.MAIL_LANGUAGE,
    }),
    backoffMs: backoffMs ?? mailBackoffMs,
  });
  const worker = mailWorker({
    queue,
    attempt: async (due) => {
      const became: Attempt = await send(due);
      attempts.add(1, { outcome: became.outcome });
      if ('why' in became)
        log.warn({ ...became, event: due.event.id, attempt: due.attempt }, 'a mail was not taken');
    },
    failed: (error) => log.warn({ err: error }, 'mails wait; they will be tried again'),
  });
  const put = async (event: DomainEvent, tx: Tx): Promise<void> => {
    const asked = asksForLetter(event);
    if (asked) await queueMail(tx, event, asked.userId);
  };
  const mails = consume({
    ...{ bus, database, log, metrics },
    consumer: mailConsumer,
    types: [...followed, 'member.invited'],
    handle: async (event, tx) => {
      if (event.time > Date.now() - mailWithinMs) await put(event, tx);
    },
    committed: () => worker.wake(),
  });
  // The inbox says that it was queued; an operator who retries wants it sent, whenever it happened.
  const redo: typeof mails.redo = async (event, tx) => {
    await put(event, tx);
    return 'done';
  };
  return { parts: [worker, mails], consumers: [{ ...mails, redo }] };
};
