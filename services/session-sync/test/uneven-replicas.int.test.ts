import { type Database, groupCommit, openDatabase, type Tx } from '@skein/postgres';
import { testDatabase } from '@skein/postgres/testing';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemIds, systemTimers } from '../src/adapters/ids.ts';
import { nativeSha256 } from '../src/adapters/native-sha256.ts';
import { postgresSpaceMaker } from '../src/adapters/postgres-space-reads.ts';
import { postgresSpaceStore } from '../src/adapters/postgres-space-store.ts';
import { migrations } from '../src/adapters/schema.ts';
import { once } from '../src/app/once.ts';
import { personalSpaceId } from '../src/app/personal-space.ts';
import { stepOnce } from '../src/app/step-once.ts';
import { createWriter, type Unit } from '../src/app/writer.ts';
import { refuse } from '../src/domain/decision.ts';

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
const open = async (url: string): Promise<Database> => {
  const database = openDatabase(
    { url, schema: 'session_sync', migrations, applicationName: 'test' },
    { log },
  );
  await database.run();
  return database;
};

let fast: Database;
let slow: Database;
beforeAll(async () => {
  const { url } = await testDatabase();
  [fast, slow] = [await open(url), await open(url)];
});
afterAll(async () => {
  await fast.stop();
  await slow.stop();
});

/** A database that calls `before` ahead of every statement, in and out of transactions. */
const watched = (database: Database, before: (inTransaction: boolean) => Promise<void>): Database => ({
  ...database,
  query: async (sql, params, options) => {
    await before(false);
    return database.query(sql, params, options);
  },
  transaction: (fn, options) =>
    database.transaction((tx) => {
      const query: Tx['query'] = async (sql, params, own) => {
        await before(true);
        return tx.query(sql, params, own);
      };
      return fn({ query });
    }, options),
});

const writerOn = (database: Database) =>
  createWriter({
    store: postgresSpaceStore(database),
    batcher: groupCommit,
    ids: systemIds,
    clock: { now: () => 0 },
    committed: () => {},
    wait: (delayMs) => new Promise((resolve) => systemTimers.after(delayMs, resolve)),
  });

const says = (space: string): Unit<number> => ({
  space,
  needs: {},
  correlationId: 'c',
  decide: (state) => ({
    result: state.head + 1,
    events: [{ type: 'message.created', actor: { kind: 'system', platform: 'test' }, data: {} }],
    writes: {},
  }),
});

const newSpaces = (owners: readonly string[]) =>
  Promise.all(
    owners.map(async (owner) => {
      const id = personalSpaceId(owner);
      await postgresSpaceMaker(fast).make({ id, kind: 'personal', title: '', epoch: 'e', owner, nowMs: 0 });
      return id;
    }),
  );

describe('a replica that is slower than another', () => {
  it('gets its turn in all spaces of a flush after a fixed number of statements', async () => {
    const spaces = await newSpaces(Array.from({ length: 12 }, (_, n) => `busy ${n}`));
    const other = writerOn(fast);
    const others: Promise<number>[] = [];
    let statements = 0;
    const writer = writerOn(
      watched(slow, async (inTransaction) => {
        statements += 1;
        // Whenever the slow one asks the database, the other one has been everywhere, or stands in line.
        const round = spaces.map((space) => other.write(says(space)));
        others.push(...round);
        if (!inTransaction) await Promise.all(round);
      }),
    );
    const offsets = await Promise.all(spaces.map((space) => writer.write(says(space))));
    // Load and commit, which loses; then bounds, locks, load and commit.
    expect(statements).toBe(6);
    expect(Math.min(...offsets)).toBeGreaterThan(2);
    await Promise.all(others);
  });

  it('holds the others up for seconds at most when it freezes with spaces for itself', {
    timeout: 30_000,
  }, async () => {
    const [space = ''] = await newSpaces(['frozen']);
    const other = writerOn(fast);
    let statements = 0;
    const thaw = Promise.withResolvers<void>();
    const frozen = Promise.withResolvers<void>();
    const writer = writerOn(
      watched(slow, async () => {
        statements += 1;
        if (statements === 2) await other.write(says(space));
        if (statements < 5) return;
        frozen.resolve();
        await thaw.promise;
      }),
    );
    const late = writer.write(says(space));
    late.catch(() => {});
    await frozen.promise;
    const startedMs = performance.now();
    expect(await other.write(says(space))).toBe(2);
    expect(performance.now() - startedMs).toBeLessThan(9_000);
    thaw.resolve();
    await expect(late).rejects.toMatchObject({ code: 'unavailable' });
    expect(await writer.write(says(space))).toBe(3);
  });
});

/** Says the first word of a space, and is refused when there is one. */
const opens = (space: string): Unit<number> => {
  const unit = says(space);
  return {
    ...unit,
    decide: (state, nowMs) =>
      state.head > 0 ? refuse('superseded', 'Somebody has spoken') : unit.decide(state, nowMs),
  };
};

describe('a command that comes again while its first attempt is under way', () => {
  const step = (unit: Unit<number>) => stepOnce(unit, `${unit.space}:open:do`);
  const keyed = (unit: Unit<number>) => {
    const call = {
      ...{ userId: 'hasty', platform: 'web', correlationId: 'c', traceparent: undefined },
      ...{ signal: AbortSignal.timeout(60_000), idempotencyKey: unit.space },
    };
    return once(nativeSha256, unit, call, 'Open', []);
  };

  it.each([
    { by: 'step of a saga', named: step },
    { by: 'idempotency key', named: keyed },
  ])('is not refused for what that has done, whichever statement it comes before ($by)', async (known) => {
    const first = writerOn(fast);
    for (let place = 1; ; place += 1) {
      const [space = ''] = await newSpaces([`${known.by} ${place}`]);
      const unit = known.named(opens(space));
      let statements = 0;
      const again = writerOn(
        watched(slow, async () => {
          statements += 1;
          if (statements === place) expect(await first.write(unit)).toBe(1);
        }),
      );
      expect(await again.write(unit)).toBe(1);
      if (statements >= place) continue;
      // Load and commit at least: the first attempt has come before each of them.
      expect(statements).toBeGreaterThan(1);
      return;
    }
  });
});
