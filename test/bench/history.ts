/**
 * What one operation costs as spaces and their histories become many: the same calls on random spaces of a database
 * that grows from 1,000 spaces to a million with ten events each. The service is the real one with an embedded
 * Postgres; the history is written into its tables by SQL, because making it call by call would take hours.
 */
import { openDatabase } from '@skein/postgres';
import { testCluster } from '@skein/postgres/testing';
import { createLogger } from '@skein/telemetry';
import { postgresArchive } from '../../services/session-sync/src/adapters/postgres-archive.ts';
import { postgresSweeps } from '../../services/session-sync/src/adapters/postgres-sweeps.ts';
import { migrations } from '../../services/session-sync/src/adapters/schema.ts';
import { personalSpaceId } from '../../services/session-sync/src/app/personal-space.ts';
import { actingFor, messageOf, startSync } from '../../services/session-sync/test/harness.ts';
import { set, writing } from '../../services/session-sync/test/writing.ts';
import { machine } from './measure-process.ts';
import { percentile, table } from './measure-stats.ts';
import { writeSection } from './report-section.ts';

const sizes = (process.env['BENCH_SPACES'] ?? '1000,10000,100000,1000000').split(',').map(Number);
const perSpace = 10;
const rounds = 300;
/** A chunk is written, and a table vacuumed, within this. */
const fillMs = 600_000;
/** People whose rows are written at once, in the order of the indexes: a page of one is not read again for each row. */
const chunk = 50_000;

await using stack = new AsyncDisposableStack();
const cluster = await testCluster();
stack.defer(() => cluster.stop());
// Nobody is told of events that were never announced, and nothing is swept meanwhile.
const sync = await startSync(cluster.url, {}, { timers: { after: () => () => {} } });
stack.defer(() => sync.stop());
const database = openDatabase(
  { url: cluster.url, schema: 'session_sync', migrations, applicationName: 'bench', poolSize: 2 },
  { log: createLogger({ service: 'bench', instance: 'bench', level: 'warn' }) },
);
await database.run();
stack.defer(() => database.stop());

const userOf = (n: number): string => `person-${n}`;

/** People from `from` to `upto`, each with a space, one document and the history of it. */
const grow = async (from: number, upto: number): Promise<void> => {
  for (let at = from; at < upto; at += chunk) {
    const users = Array.from({ length: Math.min(chunk, upto - at) }, (_, n) => userOf(at + n));
    users.sort((a, b) => (personalSpaceId(a) < personalSpaceId(b) ? -1 : 1));
    const spaces = users.map(personalSpaceId);
    await database.transaction(async (tx) => {
      const people = `unnest($1::uuid[], $2::text[]) as p(space, user_id)`;
      const both = [spaces, users];
      await tx.query(
        `insert into space (id, kind, title, epoch, created_by, created_at_ms)
         select space, 'personal', 'Personal', 'e', user_id, 0 from ${people}`,
        both,
      );
      await tx.query(
        `insert into member (space, user_id, role, joined_at_ms) select space, user_id, 'owner', 0 from ${people}`,
        both,
      );
      await tx.query(
        `insert into event (stream, "offset", id, type, time_ms, json, correlation_id)
         select space, n, i.id, 'document.changed', 1700000000000 + n,
           format('{"id":"%s","type":"document.changed","time":%s,"actor":{"kind":"user","user":"%s","device":"laptop","platform":"web"},"data":{"collection":"task","id":"t","version":%s,"value":{"title":"a task whose title is some words long","done":false},"hash":"%s","by":{"device":"laptop","seq":%s}}}',
             i.id, 1700000000000 + n, user_id, n, repeat('0', 64), n), 'c'
         from ${people} cross join generate_series(1, ${perSpace}) as g(n)
         cross join lateral (select gen_random_uuid() as id, g.n as of_row) i`,
        both,
      );
      await tx.query(
        `insert into document (space, collection, id, version, logged_version, value, hash, "offset", fields, deleted,
           updated_at_ms, client_time_ms)
         select space, 'task', 't', ${perSpace}, ${perSpace}, '{"title":"a task whose title is some words long","done":false}',
           repeat('0', 64), ${perSpace}, '{"":{"version":${perSpace},"hlc":"000000000001-0000-laptop"}}', false, 0, 0
         from ${people}`,
        both,
      );
      // One device each, which has not acknowledged its last mutation.
      await tx.query(
        `insert into device_space (space, user_id, device, last_seq) select space, user_id, 'laptop', ${perSpace} from ${people}`,
        both,
      );
      await tx.query(
        `insert into mutation_result (space, user_id, device, seq, hash, result)
         select space, user_id, 'laptop', ${perSpace}, repeat('0', 64), '{"outcome":"applied"}' from ${people}`,
        both,
      );
    });
  }
  // Now, and not while something is measured.
  for (const name of ['space', 'member', 'event', 'document', 'device_space', 'mutation_result'])
    await database.query(`vacuum (analyze) ${name}`, [], { answerMs: fillMs });
  await database.query('checkpoint');
};

const sweeps = postgresSweeps(database);
const archive = postgresArchive(database, 'session-sync');
const { mutate } = writing(() => sync);
let written = 0;

const operations = {
  'session opened': async (user: string) => {
    const device = { id: 'laptop', platform: 'web', name: '' };
    const { spaces } = await sync.gateway.openSession({ device }, actingFor(user));
    if (spaces[0]?.lastSeq !== perSpace) throw new Error(`${user} has another space`);
  },
  'document changed': async (user: string) => {
    written += 1;
    const { results } = await mutate(user, `device-${written}`, [
      set(1, 'a title', { id: `new-${written}` }),
    ]);
    if (results[0]?.outcome !== 'applied') throw new Error(JSON.stringify(results));
  },
  'message written': async (user: string) => {
    await sync.gateway.appendMessage(messageOf(crypto.randomUUID(), { reply: false }), actingFor(user));
  },
  'ten events read': async (user: string) => {
    const { events } = await sync.gateway.readEvents(
      { space: 'personal', epoch: 'e', after: 0, limit: perSpace },
      actingFor(user),
    );
    if (events.length !== perSpace) throw new Error(`${events.length} events of ${user}`);
  },
  snapshot: async (user: string) => {
    for await (const _ of sync.gateway.readSnapshot({ space: 'personal', at: '' }, actingFor(user)));
  },
  'past state': async (user: string) => {
    for await (const _ of sync.gateway.readSnapshot({ space: 'personal', at: '5' }, actingFor(user)));
  },
  // What happens by itself: every 30 s, and for every thousand spaces in ten minutes.
  sweep: () => sweeps.forget(Date.now(), []),
  'archive step': async () => {
    await archive.run(1, new AbortController().signal);
  },
};

const rows: string[][] = [];
const sectionOf = (): string =>
  [
    '## History: the cost of an operation as spaces and events become many',
    `${machine()}, ${new Date().toISOString().slice(0, 10)}. Milliseconds of one call (median / 99th percentile), one after the other, on random spaces, over gRPC to session-sync with an embedded Postgres on the same cores. Each space has one document and ${perSpace} events. ${rounds} calls after as many to warm up.`,
    table([['spaces', 'events', ...Object.keys(operations)], ...rows]),
  ].join('\n\n');
let have = 0;
for (const size of sizes) {
  await grow(have, size);
  have = size;
  const row = [size.toLocaleString('en'), (size * perSpace).toLocaleString('en')];
  for (const operation of Object.values(operations)) {
    const times: number[] = [];
    for (let round = 0; round < 2 * rounds; round += 1) {
      const user = userOf(Math.floor(Math.random() * have));
      const startedAt = performance.now();
      await operation(user);
      // The first half warms up.
      if (round >= rounds) times.push(performance.now() - startedAt);
    }
    row.push(`${percentile(times, 0.5).toFixed(2)} / ${percentile(times, 0.99).toFixed(2)}`);
  }
  rows.push(row);
  console.log(`  ${row.join('  ')}`);
  // Each size costs minutes: what is known is kept.
  await writeSection('history', sectionOf());
}
console.log(`\n${sectionOf()}`);
