import { randomUUID } from 'node:crypto';
import { AppError } from '@skein/contracts';
import { type Database, openDatabase } from '@skein/postgres';
import { testDatabase } from '@skein/postgres/testing';
import { crashEverywhere } from '@skein/saga/testing';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrations } from '../src/adapters/migrations.ts';
import { postgresErasures } from '../src/adapters/postgres-erasures.ts';
import { repositoriesOn } from '../src/adapters/postgres-store.ts';
import { eraseUser } from '../src/app/erase-user.ts';

let database: Database;
beforeAll(async () => {
  const { url } = await testDatabase();
  const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
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

describe('erase-user', () => {
  it('ends with nothing left of the person, or untouched, whichever write it is killed at', async () => {
    const elsewhere = others();
    const here = postgresErasures({
      database,
      start: async () => ({ id: randomUUID() }),
      started: () => {},
      forgetSagas: async () => {},
    });
    const definition = eraseUser({ ...elsewhere.ports, eraseProfile: here.erasePerson });
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
        return { user };
      },
      observe: async ({ user }) => ({
        account: elsewhere.accounts.get(user) ?? 'gone',
        spaces: elsewhere.spaces.has(user),
        invitations: elsewhere.invitations.has(`${user}@example.org`),
        turns: elsewhere.turns.has(user),
        profile: (await profiles.byId(user)) !== undefined,
        login: (await logins.last(user)) !== undefined,
        notices: (await notices.list(user, undefined, 10)).length,
      }),
    });
    expect(report.done).toEqual({
      ...{ account: 'gone', spaces: false, invitations: false, turns: false },
      ...{ profile: false, login: false, notices: 0 },
    });
    expect(Object.keys(report.compensated)).toEqual(['refused at closeAccount']);
    expect(report.compensated['refused at closeAccount']).toMatchObject({ account: 'open', notices: 1 });
    expect(report.crashes).toBeGreaterThan(20);
  }, 120_000);

  it('is one saga however often it is asked for, and keeps nothing new about the person', async () => {
    const user = randomUUID();
    const started: string[] = [];
    const { begin } = postgresErasures({
      database,
      start: async (_, userId) => ({ id: started.push(userId) === 1 ? 'first' : 'again' }),
      started: () => {},
      forgetSagas: async () => {},
    });
    expect(await begin({ userId: user, by: user, reason: '' }, 'c')).toEqual({ sagaId: 'first' });
    await begin({ userId: user, by: 'operator', reason: 'asked again' }, 'c');
    expect(started).toEqual([user, user]);
    const asked = await database.query('select asked_by, reason from erased_person where user_id = $1', [
      user,
    ]);
    expect(asked).toEqual([{ asked_by: user, reason: '' }]);
    const { profiles, logins } = repositoriesOn(database);
    await profiles.add({
      ...{
        userId: user,
        email: 'a@example.org',
        displayName: 'Ada',
        locale: '',
        timezone: '',
        createdAtMs: 1,
      },
    });
    await logins.note(user, { atMs: 1, platform: 'web' });
    expect([await profiles.byId(user), await logins.last(user)]).toEqual([undefined, undefined]);
  });
});
