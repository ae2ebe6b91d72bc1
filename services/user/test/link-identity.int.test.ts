import { randomUUID } from 'node:crypto';
import { type Database, openDatabase } from '@skein/postgres';
import { testDatabase } from '@skein/postgres/testing';
import { crashEverywhere } from '@skein/saga/testing';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { linkCodes } from '../src/adapters/link-codes.ts';
import { migrations } from '../src/adapters/migrations.ts';
import { postgresIdentities } from '../src/adapters/postgres-identities.ts';
import { linkIdentity } from '../src/app/link-identity.ts';

let database: Database;
beforeAll(async () => {
  const { url } = await testDatabase();
  const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
  database = openDatabase({ url, schema: 'user', migrations, applicationName: 'test', poolSize: 8 }, { log });
  await database.run();
});
afterAll(() => database.stop());

describe('link-identity', () => {
  it('ends linked, or with the code good and the account free again, whichever write it is killed at', async () => {
    const identities = postgresIdentities({
      ...{ database, newId: randomUUID, started: () => {}, published: () => {} },
      // Begun by the processes of the crash test.
      start: async (_, input) => ({ sagaId: input.link, end: async () => undefined }),
    });
    const report = await crashEverywhere({
      database,
      definition: linkIdentity(identities),
      input: async () => {
        const user = randomUUID();
        const code = linkCodes.make();
        await identities.addCode({
          ...{ id: randomUUID(), hash: linkCodes.hash(code), of: { userId: user }, lifeMs: 600_000 },
        });
        const account = { platform: 'telegram', account: user, name: 'Ada' };
        const call = { correlationId: 'c', key: undefined };
        const { sagaId: link } = await identities.begin(linkCodes.hash(code), account, call);
        return { user, link };
      },
      observe: async ({ user, link }) => ({
        linked: (await identities.list(user)).length,
        kept: (await database.query('select 1 from identity where user_id = $1', [user])).length,
        used: (await database.query('select 1 from link_code where id = $1 and used', [link])).length,
        events: (await database.query('select 1 from outbox where strpos(event, $1) > 0', [user])).length,
      }),
    });
    const nothing = { linked: 0, kept: 0, used: 0, events: 0 };
    expect(report.done).toEqual({ linked: 1, kept: 1, used: 1, events: 1 });
    expect(Object.keys(report.compensated).length).toBeGreaterThan(3);
    for (const left of Object.values(report.compensated)) expect(left).toEqual(nothing);
    expect(report.crashes).toBeGreaterThan(20);
  }, 120_000);
});
