import { randomUUID } from 'node:crypto';
import { AppError } from '@skein/contracts';
import { type Database, openDatabase } from '@skein/postgres';
import { testDatabase } from '@skein/postgres/testing';
import { sagas } from '@skein/saga';
import { crashEverywhere } from '@skein/saga/testing';
import { createLogger, createMetrics } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrations } from '../src/adapters/migrations.ts';
import { postgresErasures } from '../src/adapters/postgres-erasures.ts';
import { repositoriesOn } from '../src/adapters/postgres-store.ts';
import { eraseUser } from '../src/app/erase-user.ts';

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
let database: Database;
beforeAll(async () => {
  const { url } = await testDatabase();
  database = openDatabase({ url, schema: 'user', migrations, applicationName: 'test', poolSize: 8 }, { log });
  await database.run();
});
afterAll(() => database.stop());

/** What the other services keep of people, and how they forget them. */
const others = () => {
  const accounts = new Map<string, 'open' | 'closed'>();
  const spaces = new Set<string>();
  const invitations = new Set<string>();
  const turns = new Set<string>();
  return {
    ...{ accounts, spaces, invitations, turns },
    ports: {
      closeAccount: async (user: string) => {
        if (!accounts.has(user)) throw new AppError('not_found');
        accounts.set(user, 'closed');
        return { email: `${user}@example.org` };
      },
      eraseFromSpaces: async (user: string, email: string) => {
        spaces.delete(user);
        invitations.delete(email);
      },
      eraseFromAgent: async (user: string) => {
        turns.delete(user);
      },
      eraseAccount: async (user: string) => {
        accounts.delete(user);
      },
    },
  };
};

const closedAt = async (user: string): Promise<unknown> => {
  const [row] = await database.query('select closed_at from erased_person where user_id = $1', [user]);
  return row?.closed_at;
};

const askedBy = (user: string) =>
  database.query('select asked_by, reason from erased_person where user_id = $1', [user]);

/** Orders to erase, and an orchestrator that nobody has set going: the sagas stay at their first step. */
const ordering = () => {
  const erasures = postgresErasures({
    database,
    start: (tx, user, correlationId) =>
      orchestrator.start(tx, definition, { user }, { subject: user, correlationId }),
    started: () => {},
    forgetSagas: async () => {},
  });
  const { keepNothing, erasePerson: eraseProfile } = erasures;
  const definition = eraseUser({ ...others().ports, keepNothing, eraseProfile });
  const orchestrator = sagas({
    ...{ database, definitions: [definition], instance: 'test', log, metrics: createMetrics() },
  });
  return { definition, orchestrator, erasures };
};

describe('erase-user', () => {
  it('ends with nothing left of the person, or untouched, whichever write it is killed at', async () => {
    const elsewhere = others();
    const here = postgresErasures({
      database,
      start: async () => ({ id: randomUUID() }),
      started: () => {},
      forgetSagas: async () => {},
    });
    const definition = eraseUser({
      ...elsewhere.ports,
      keepNothing: here.keepNothing,
      eraseProfile: here.erasePerson,
    });
    const { profiles, logins, notices } = repositoriesOn(database);
    const report = await crashEverywhere({
      database,
      definition,
      input: async () => {
        const user = randomUUID();
        const { email, ...profile } = { email: `${user}@example.org`, displayName: 'Ada', locale: '' };
        await profiles.add({ userId: user, email, ...profile, timezone: '', createdAtMs: 1 });
        await logins.note(user, { atMs: 1, platform: 'web' });
        await notices.add({ id: randomUUID(), userId: user, kind: 'welcome', timeMs: 1, data: {} });
        elsewhere.accounts.set(user, 'open');
        for (const one of [elsewhere.spaces, elsewhere.turns]) one.add(user);
        elsewhere.invitations.add(email);
        await here.begin({ userId: user, by: user, reason: '' }, 'c');
        return { user };
      },
      observe: async ({ user }) => ({
        account: elsewhere.accounts.get(user) ?? 'gone',
        spaces: elsewhere.spaces.has(user),
        invitations: elsewhere.invitations.has(`${user}@example.org`),
        turns: elsewhere.turns.has(user),
        keptOut: (await closedAt(user)) !== null,
        profile: (await profiles.byId(user)) !== undefined,
        login: (await logins.last(user)) !== undefined,
        notices: (await notices.list(user, undefined, 10)).length,
      }),
    });
    expect(report.done).toEqual({
      ...{ account: 'gone', spaces: false, invitations: false, turns: false },
      ...{ keptOut: true, profile: false, login: false, notices: 0 },
    });
    expect(Object.keys(report.compensated)).toEqual(['refused at closeAccount']);
    expect(report.compensated['refused at closeAccount']).toMatchObject({
      ...{ account: 'open', keptOut: false, notices: 1 },
    });
    expect(report.crashes).toBeGreaterThan(20);
  }, 120_000);

  it('is one saga however often it is asked for, and another one once that was killed', async () => {
    const { orchestrator, erasures } = ordering();
    const user = randomUUID();
    const ask = async (by: string, reason: string) =>
      (await erasures.begin({ userId: user, by, reason }, 'c')).sagaId;
    const [first, twin] = await Promise.all([ask(user, ''), ask(user, '')]);
    expect(await ask('operator', 'asked again')).toBe(first);
    expect(twin).toBe(first);
    expect(await askedBy(user)).toEqual([{ asked_by: user, reason: '' }]);

    await orchestrator.operate(first, { kind: 'kill' }, { actor: 'operator', reason: 'a mistake' });
    const second = await ask('operator', 'a letter');
    expect(second).not.toBe(first);
    expect(await ask(user, '')).toBe(second);
    expect(await askedBy(user)).toEqual([{ asked_by: 'operator', reason: 'a letter' }]);
  });

  it('keeps what is new about a person until their account is closed, and nothing after that', async () => {
    const { erasures } = ordering();
    const { profiles, logins } = repositoriesOn(database);
    const [open, closed] = [randomUUID(), randomUUID()];
    const kept = async (userId: string) => {
      await profiles.add({
        ...{ userId, email: 'a@example.org', displayName: 'Ada', locale: '', timezone: '', createdAtMs: 1 },
      });
      await logins.note(userId, { atMs: 1, platform: 'web' });
      return [await profiles.byId(userId), await logins.last(userId)].map((row) => row !== undefined);
    };
    for (const userId of [open, closed]) await erasures.begin({ userId, by: userId, reason: '' }, 'c');
    await erasures.keepNothing(closed);
    expect(await kept(open)).toEqual([true, true]);
    expect(await kept(closed)).toEqual([false, false]);
  });

  it('waits for hours for a service that is away, whichever step needs it', () => {
    const { steps } = ordering().definition;
    for (const { name, retry } of steps) {
      // Waits are random between nothing and their bound.
      const hours = (retry.attempts * retry.capMs) / 2 / 3_600_000;
      expect(hours, name).toBeGreaterThan(12);
    }
  });
});
