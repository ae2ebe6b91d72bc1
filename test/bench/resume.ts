/**
 * A device that missed 10,000 events of its space comes back over a WebSocket: from the moment it says hello to the
 * moment it has the last event, through the whole embedded mesh. Every event has to come, in order.
 */
import { once } from 'node:events';
import WebSocket from 'ws';
import { newPerson, testMesh } from '../e2e/support/mesh.ts';
import { benchEnvironment, helloOf } from './fanout-systems.ts';
import { machine } from './measure-process.ts';
import { shown, table } from './measure-stats.ts';
import { writeSection } from './report-section.ts';

const missed = [100, 1_000, 10_000];
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 15);
/** Rounds before the first that counts: code is compiled and pages are read. */
const warmUp = 3;
const patienceMs = 30_000;
const batch = 100;

interface Place {
  readonly id: string;
  readonly epoch: string;
  readonly head: number;
}

await using mesh = await testMesh({ env: benchEnvironment });
const { accessToken: token } = await newPerson(mesh.url);

const json = async <T>(path: string, body?: object): Promise<T> => {
  const response = await fetch(`${mesh.url}${path}`, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
};
const place = () => json<Place>('/v1/spaces/personal');

const value = { title: 'a task whose title is some words long', done: false };
for (let seq = 1; seq <= Math.max(...missed); seq += batch) {
  const mutations = Array.from({ length: batch }, (_, n) => ({
    ...{ seq: seq + n, collection: 'task', id: `t${seq + n}`, baseVersion: 0 },
    ...{ ops: [{ op: 'set', path: [], value }], hlc: `${(seq + n).toString(16).padStart(12, '0')}-0000-w` },
  }));
  const { results } = await json<{ results: { outcome: string }[] }>('/v1/spaces/personal/mutations', {
    ...{ device: 'w', mutations },
  });
  if (results.some(({ outcome }) => outcome !== 'applied')) throw new Error('a mutation was not applied');
}
const { id: space, epoch, head } = await place();

/** Milliseconds from hello to the last event, and the bytes that came. */
const resume = async (offset: number): Promise<{ ms: number; bytes: number }> => {
  const socket = new WebSocket(`${mesh.url.replace('http', 'ws')}/v1/connect`, { perMessageDeflate: false });
  await once(socket, 'open');
  const startedAt = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<{ ms: number; bytes: number }>();
  const late = setTimeout(() => reject(new Error(`nothing after ${position}`)), patienceMs);
  let position = offset;
  let bytes = 0;
  socket.on('message', (data: Buffer) => {
    bytes += data.length;
    // As a client does it: every frame is parsed.
    const frame = JSON.parse(data.toString()) as { type: string; offset: number };
    if (frame.type === 'snapshot' || frame.type === 'error') reject(new Error(data.toString().slice(0, 300)));
    if (frame.type !== 'event') return;
    if (frame.offset !== position + 1) reject(new Error(`${frame.offset} came after ${position}`));
    position = frame.offset;
    if (position === head) resolve({ ms: performance.now() - startedAt, bytes });
  });
  socket.send(helloOf(token, 'returning', [{ space, epoch, offset }]));
  try {
    return await promise;
  } finally {
    clearTimeout(late);
    socket.terminate();
  }
};

const rows: string[][] = [];
for (const events of missed) {
  const times: number[] = [];
  let size = 0;
  for (let round = 0; round < warmUp + rounds; round += 1) {
    const { ms, bytes } = await resume(head - events);
    size = bytes;
    if (round >= warmUp) times.push(ms);
  }
  rows.push([String(events), shown(times, 1), (size / 1_000).toFixed(0)]);
  console.log(`  ${rows.at(-1)?.join('  ')}`);
}
const section = [
  '## Resume: a device that was away',
  `${machine()}, ${new Date().toISOString().slice(0, 10)}. A device comes back over a WebSocket with a position so many events behind the head, on the whole embedded mesh with nothing else to do; the client shares its cores. From hello to the last event, each parsed, none missing. ${rounds} rounds after ${warmUp} to warm up.`,
  table([['events missed', 'ms', 'KB received'], ...rows]),
].join('\n\n');
console.log(`\n${section}`);
await writeSection('resume', section);
