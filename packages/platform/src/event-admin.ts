import { AppError, eventsV1 } from '@skein/contracts';
import { type Consumer, type DeadLetterPosition, deadLetters, type Order, replay } from '@skein/events';
import type { Database } from '@skein/postgres';
import { type CallContext, type Handlers, type Implementation, implement } from '@skein/rpc';
import { type Clock, systemClock } from '@skein/service-kit';
import { operatorOf } from './operator.ts';

/** What operators may look after in one service. */
export interface EventAdminOptions {
  readonly database: Database;
  /** Those of this process; every replica has the same. */
  readonly consumers: readonly Consumer[];
  /** The name of its relay; a service that publishes nothing has none. */
  readonly relay?: string;
  readonly clock?: Clock;
}

const defaultPage = 50;
const maxPage = 200;
/** A sentence, not an essay. */
const maxReason = 500;

/** The acting operator with a reason. `unauthenticated`, `forbidden` or `invalid_request` when one is missing. */
const orderOf = ({ actor }: CallContext, reason: string): Order => {
  const trimmed = reason.trim();
  if (trimmed === '' || trimmed.length > maxReason)
    throw new AppError('invalid_request', undefined, {
      errors: [
        { path: 'reason', message: `must have 1 to ${maxReason} characters: it is kept in the journal` },
      ],
    });
  return { actor: operatorOf(actor), reason: trimmed };
};

const toCursor = ({ diedAtUs, consumer, eventId }: DeadLetterPosition): string =>
  Buffer.from(JSON.stringify([diedAtUs, consumer, eventId])).toString('base64url');

const fromCursor = (cursor: string): DeadLetterPosition | undefined => {
  if (cursor === '') return undefined;
  try {
    const [diedAtUs, consumer, eventId] = JSON.parse(
      Buffer.from(cursor, 'base64url').toString(),
    ) as unknown[];
    if (Number.isSafeInteger(diedAtUs) && typeof consumer === 'string' && typeof eventId === 'string')
      return { diedAtUs: Number(diedAtUs), consumer, eventId };
  } catch {
    // Not JSON: not one of ours either.
  }
  throw new AppError('invalid_request', 'This cursor is not one of ours');
};

const handlersOf = (options: EventAdminOptions): Handlers<eventsV1.EventAdminServiceService> => {
  const { database, consumers, relay, clock = systemClock } = options;
  const letters = deadLetters(database, consumers);
  return {
    listDeadLetters: async ({ limit, cursor }, { actor }) => {
      operatorOf(actor);
      const size = Math.min(Math.max(limit || defaultPage, 1), maxPage);
      const found = await letters.list({ limit: size + 1, after: fromCursor(cursor) });
      const items = found.slice(0, size);
      const last = items.at(-1);
      return {
        items: items.map(({ diedAtUs, ...letter }) => ({
          ...letter,
          diedAtMs: Math.floor(diedAtUs / 1_000),
        })),
        next: last && found.length > size ? toCursor(last) : '',
      };
    },
    retryDeadLetter: async ({ consumer, eventId, reason }, ctx) => {
      const retried = await letters.retry(consumer, eventId, orderOf(ctx, reason), ctx.signal);
      return { outcome: retried.outcome, error: retried.outcome === 'failed' ? retried.error : '' };
    },
    dropDeadLetter: async ({ consumer, eventId, reason }, ctx) => {
      await letters.drop(consumer, eventId, orderOf(ctx, reason));
      return {};
    },
    replayEvents: async ({ fromMs, reason }, ctx) => {
      const order = orderOf(ctx, reason);
      if (relay === undefined)
        throw new AppError('invalid_request', 'This service publishes no events: there is nothing to replay');
      await replay(database, { relay, fromMs, nowMs: clock.now() }, order);
      return {};
    },
  };
};

/** People come through the gateway. */
const allow = {
  listDeadLetters: ['gateway'],
  retryDeadLetter: ['gateway'],
  dropDeadLetter: ['gateway'],
  replayEvents: ['gateway'],
};

/** `skein.events.v1.EventAdminService` of one service; for operators only, checked here as well. */
export const eventAdminService = (options: EventAdminOptions): Implementation =>
  implement(eventsV1.EventAdminServiceService, handlersOf(options), { allow });
