import { type Database, openDatabase } from '@skein/postgres';
import { testDatabase } from '@skein/postgres/testing';
import { createLogger, createMetrics } from '@skein/telemetry';
import { onTestFinished } from 'vitest';
import {
  type ConsumeOptions,
  type Consumer,
  consume,
  type EventBus,
  eventAdminSql,
  eventTablesSql,
  postgresBus,
  type Relay,
  type RelayOptions,
  relay,
  relayKindsSql,
} from '../src/index.ts';

export const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
export const metrics = createMetrics();
export const waitMs = 20_000;

/** A service's schema with the tables of events. */
export const open = async (url: string, schema = 'events_test'): Promise<Database> => {
  const database = openDatabase(
    {
      url,
      schema,
      applicationName: 'test',
      migrations: [
        { version: 1, name: 'events', sql: eventTablesSql },
        { version: 2, name: 'care of them', sql: eventAdminSql() },
        { version: 3, name: 'kinds', sql: relayKindsSql },
      ],
    },
    { log },
  );
  await database.run();
  onTestFinished(() => database.stop());
  return database;
};

/** The schema in a new database. */
export const fresh = async (): Promise<{ database: Database; url: string }> => {
  const { url, drop } = await testDatabase();
  onTestFinished(drop);
  return { database: await open(url), url };
};

export const busOn = async (database: Database, instance = 'one'): Promise<EventBus> => {
  const bus = postgresBus({ database, instance, log, idleMs: 20 });
  await bus.run();
  return bus;
};

/** A running relay of auth's events. */
export const startRelay = async (
  database: Database,
  bus: EventBus,
  more: Partial<RelayOptions> = {},
): Promise<Relay> => {
  const part = relay({ database, bus, name: 'auth', instance: 'one', log, metrics, idleMs: 20, ...more });
  await part.run();
  onTestFinished(() => part.stop());
  return part;
};

/** A running consumer of logins whose effect is a row of the table `effect`. */
export const startConsumer = async (
  database: Database,
  bus: EventBus,
  more: Partial<ConsumeOptions> = {},
): Promise<Consumer> => {
  await database.query('create table if not exists effect (event_id text)');
  const part = consume({
    ...{ bus, database, log, metrics },
    consumer: 'test',
    types: ['user.login'],
    backoffMs: [10],
    maxDeliver: 2,
    handle: async (event, tx) => {
      await tx.query('insert into effect values ($1)', [event.id]);
    },
    ...more,
  });
  await part.run();
  onTestFinished(() => part.stop());
  return part;
};

/** Ids of the events that had their effect, as often as they had it. */
export const effects = async (database: Database): Promise<string[]> =>
  (await database.query<{ event_id: string }>('select event_id from effect order by 1')).map(
    (row) => row.event_id,
  );

/** A bus that remembers what was published, and forgets or begins anew when told. */
export const spyBus = () => {
  const published: string[] = [];
  const store = { id: 'first', boot: 'one' };
  let reached: number | undefined;
  let newest: Awaited<ReturnType<EventBus['newest']>>;
  const bus: EventBus = {
    id: 'spy',
    run: async () => {},
    stop: async () => {},
    publish: async (events) => {
      published.push(...events.map((event) => event.id));
      const event = events.at(-1);
      if (event) newest = { event, mark: published.length };
      return { mark: published.length };
    },
    subscribe: () => {
      throw new Error('nobody subscribes here');
    },
    store: async () => ({ ...store }),
    newest: async () => newest,
    erase: async () => {
      throw new Error('nobody erases here');
    },
    handled: async () => reached,
  };
  return {
    bus,
    published,
    /** Every consumer has handled what was published so far. */
    allHandled: () => {
      reached = published.length;
    },
    lose: () => {
      published.length = 0;
      reached = undefined;
      newest = undefined;
      store.id = 'second';
    },
    beginAnew: () => {
      store.boot = 'two';
    },
  };
};
