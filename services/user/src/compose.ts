import { authV1, type DomainEvent } from '@skein/contracts';
import { consume } from '@skein/events';
import { eventAdminService, openPlatform, type ServiceServer } from '@skein/platform';
import { pruneIdempotencyKeys, type Tx } from '@skein/postgres';
import { rootContext } from '@skein/rpc';
import { participant } from '@skein/saga';
import { type Composed, ConfigError, periodic } from '@skein/service-kit';
import { v7 as uuidv7 } from 'uuid';
import { authAccounts } from './adapters/auth-accounts.ts';
import { migrations } from './adapters/migrations.ts';
import { mailConsumer, postgresMailQueue, queueMail } from './adapters/postgres-mail-queue.ts';
import { postgresStore, repositoriesOn } from './adapters/postgres-store.ts';
import { followAccounts, followed } from './app/follow-accounts.ts';
import { listNotices } from './app/list-notices.ts';
import { mailWorker } from './app/mail-worker.ts';
import { makeAhead } from './app/make-ahead.ts';
import { ensureProfile, getProfile, updateProfile } from './app/profile.ts';
import { type Attempt, mailBackoffMs, sendMail } from './app/send-mail.ts';
import type { UserConfig } from './config.ts';
import { readMailUrl } from './domain/mail-url.ts';
import { noticeOf } from './domain/notice.ts';
import { userService } from './grpc/handlers.ts';

/** What a test may put in the place of the real thing. */
export interface Deps {
  readonly newId: () => string;
  readonly mailBackoffMs: readonly number[];
}

/** A thousand keys of a day ago go each time. */
const pruneEveryMs = 60_000;

/** A notice that is older says nothing new by mail: it is seen where the person looks next. */
const mailWithinMs = 24 * 3_600_000;

/** How long making a profile ahead of its first use may take. */
const aheadTimeoutMs = 5_000;

/** The user service, ready to run. */
export const compose = async (
  config: UserConfig,
  over: Partial<Deps> = {},
): Promise<Composed & { readonly server: ServiceServer }> => {
  const { newId = () => uuidv7() } = over;
  const platform = await openPlatform('user', config);
  const { log, metrics } = platform;
  const database = platform.database(migrations);
  const { bus } = platform.events();
  const auth = platform.client(authV1.AuthServiceService, 'auth', { retryable: ['getAccount'] });

  const store = postgresStore(database);
  const shared = { store, accounts: authAccounts(auth) };
  const follow = followAccounts(newId);
  const ensure = ensureProfile(shared);
  const ahead = makeAhead({
    make: (userId, correlationId) =>
      ensure(userId, rootContext({ timeoutMs: aheadTimeoutMs, correlationId })),
    onError: (userId, error) => log.warn({ err: error, userId }, 'the profile will be made at first touch'),
  });

  const accountEvents = consume({
    bus,
    database,
    log,
    metrics,
    consumer: 'user-accounts',
    types: followed,
    // No call to another service belongs in its transaction: the profile is made once this has committed.
    handle: (event, tx) => follow(event, repositoriesOn(tx)),
    // No call to another service belongs in the transaction. What is missed here is made at first touch.
    committed: ahead,
  });

  /** The parts of reaching people by mail; none without a mail server, and then its client is not even loaded. */
  const mailing = async () => {
    if (config.MAIL_URL === '') return { parts: [], consumers: [] };
    if (config.MAIL_FROM === '')
      throw new ConfigError(['MAIL_FROM is required with MAIL_URL: who mails are from']);
    const { smtpMailer } = await import('./adapters/smtp-mailer.ts');
    const queue = postgresMailQueue(database);
    const attempts = metrics.counter('skein_mail_attempts_total', 'Attempts to send a mail, by outcome');
    const send = sendMail({
      queue,
      mailer: smtpMailer({ server: readMailUrl(config.MAIL_URL), from: config.MAIL_FROM }),
      profileOf: (userId) => ensure(userId, rootContext({ timeoutMs: aheadTimeoutMs })),
      language: config.MAIL_LANGUAGE,
      backoffMs: over.mailBackoffMs ?? mailBackoffMs,
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
      const notice = noticeOf(event);
      if (notice) await queueMail(tx, event, notice.userId);
    };
    const mails = consume({
      ...{ bus, database, log, metrics },
      consumer: mailConsumer,
      types: followed,
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
  const mail = await mailing();
  const pruning = periodic('pruning', {
    everyMs: pruneEveryMs,
    work: async () => {
      await pruneIdempotencyKeys(database);
      await participant.prune(database);
    },
    failed: (error) => log.warn({ err: error }, 'pruning failed; it will be tried again'),
  });
  const server = platform.server([
    userService({
      getProfile: getProfile(shared),
      updateProfile: updateProfile(shared),
      listNotices: listNotices(shared),
    }),
    eventAdminService({ database, consumers: [accountEvents, ...mail.consumers] }),
  ]);
  return { service: platform.lifecycle([accountEvents, ...mail.parts, pruning, server]), log, server };
};
