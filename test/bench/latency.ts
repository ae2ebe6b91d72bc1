/**
 * From a message's due moment on one device to its arrival on the person's other one, through the whole embedded mesh:
 * 500 people with two devices each, 200 messages a second in all, no answers asked for. A relay that keeps nothing
 * takes turns with it and shows what the machine itself takes.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { newPerson, testMesh } from '../e2e/support/mesh.ts';
import { benchEnvironment, helloOf } from './fanout-systems.ts';
import { coreMs, cpuMs, machine } from './measure-process.ts';
import { percentile, shown, table } from './measure-stats.ts';
import { writeSection } from './report-section.ts';

const people = 500;
const perSecond = 200;
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 5);
const roundSeconds = 8;
const textBytes = 256;
/** People who sign up, and sockets that open, at the same time. */
const abreast = 16;
/** After a round, how long what is under way may take. */
const patienceMs = 10_000;

/** The two devices of each person on one system. */
interface Pairs {
  readonly name: string;
  /** Sends a text from the first device of person n. */
  send(n: number, text: string): void;
  /** Processes whose CPU time is told. */
  readonly pids: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

interface Round {
  readonly latencies: readonly number[];
  readonly lost: number;
  readonly twice: number;
  /** How busy both cores were, whoever used them. */
  readonly busy: number;
  readonly cpuPerMessage: ReadonlyMap<string, number>;
}

const inTurns = async <R>(count: number, work: (n: number) => Promise<R>): Promise<R[]> => {
  const results: R[] = [];
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const n = next;
      next += 1;
      results[n] = await work(n);
    }
  };
  await Promise.all(Array.from({ length: abreast }, lane));
  return results;
};

/** Number of a message → its latencies in milliseconds, one for each time that it arrived. */
let arrived = new Map<number, number[]>();

const took = (data: WebSocket.RawData): void => {
  const nowNs = process.hrtime.bigint();
  const text = String(data);
  const found = /TS=(\d+);N=(\d+);/.exec(text);
  // The first message of a person also gives its conversation a title.
  if (!found || text.includes('"conversation.created"')) return;
  const number = Number(found[2]);
  const ms = Number(nowNs - BigInt(found[1] ?? 0)) / 1e6;
  arrived.set(number, [...(arrived.get(number) ?? []), ms]);
};

const opened = async (url: string): Promise<WebSocket> => {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  await once(socket, 'open');
  return socket;
};

const skein = async (): Promise<Pairs> => {
  const mesh = await testMesh({ env: benchEnvironment });
  const url = `${mesh.url.replace('http', 'ws')}/v1/connect`;
  const startedAt = performance.now();
  const signedUp = await inTurns(people, () => newPerson(mesh.url));
  console.log(`  ${people} people signed up in ${Math.round(performance.now() - startedAt)} ms`);
  const device = async (n: number, name: string): Promise<WebSocket> => {
    const socket = await opened(url);
    const welcome = once(socket, 'message');
    socket.send(helloOf(signedUp[n]?.accessToken ?? '', name));
    await welcome;
    return socket;
  };
  const firsts = await inTurns(people, (n) => device(n, 'phone'));
  const seconds = await inTurns(people, (n) => device(n, 'laptop'));
  console.log(`  ${2 * people} devices connected after ${Math.round(performance.now() - startedAt)} ms`);
  for (const socket of seconds) socket.on('message', took);
  const refused: string[] = [];
  for (const socket of firsts)
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data)) as { type: string; code?: string };
      if (frame.type === 'error') refused.push(frame.code ?? '');
    });
  let sent = 0;
  return {
    name: 'skein',
    pids: new Map([...mesh.mesh.processes].map(([name, one]) => [name, one.pid ?? 0])),
    send: (n, text) => {
      sent += 1;
      const clientMessageId = `latency-${sent}`;
      firsts[n]?.send(
        JSON.stringify({ type: 'message', id: sent, space: 'personal', clientMessageId, text, reply: false }),
      );
    },
    close: async () => {
      if (refused.length > 0) console.log(`  refused: ${refused.length}, the first ${refused[0]}`);
      for (const socket of [...firsts, ...seconds]) socket.terminate();
      await mesh[Symbol.asyncDispose]();
    },
  };
};

const relay = async (): Promise<Pairs> => {
  const child = fork(fileURLToPath(new URL('./latency-relay.ts', import.meta.url)));
  const [port] = (await once(child, 'message')) as [number];
  const firsts = await inTurns(people, (n) => opened(`ws://127.0.0.1:${port}/${n}`));
  const seconds = await inTurns(people, (n) => opened(`ws://127.0.0.1:${port}/${n}`));
  for (const socket of seconds) socket.on('message', took);
  return {
    name: 'bare ws relay',
    pids: new Map([['relay', child.pid ?? 0]]),
    send: (n, text) => firsts[n]?.send(text),
    close: async () => {
      for (const socket of [...firsts, ...seconds]) socket.terminate();
      child.disconnect();
      await once(child, 'exit');
    },
  };
};

const busyMs = (): number => coreMs(0).busyMs + coreMs(1).busyMs;

/** One round at a fixed schedule: people take turns, whatever has become of the messages before. */
const run = async (pairs: Pairs, seconds: number): Promise<Round> => {
  const total = perSecond * seconds;
  arrived = new Map();
  const cpuBefore = new Map([...pairs.pids].map(([name, pid]) => [name, cpuMs(pid)]));
  const busyBefore = busyMs();
  const startNs = process.hrtime.bigint();
  for (let sent = 0; sent < total; ) {
    const elapsed = Number(process.hrtime.bigint() - startNs) / 1e9;
    const due = Math.min(total, Math.floor(elapsed * perSecond) + 1);
    for (; sent < due; sent += 1) {
      const dueNs = startNs + BigInt(Math.round((sent / perSecond) * 1e9));
      pairs.send((sent * 7) % people, `TS=${dueNs};N=${sent};`.padEnd(textBytes, 'x'));
    }
    await pause(1);
  }
  const wallMs = Number(process.hrtime.bigint() - startNs) / 1e6;
  const busy = (busyMs() - busyBefore) / (2 * wallMs);
  const until = performance.now() + patienceMs;
  while (arrived.size < total && performance.now() < until) await pause(20);
  const latencies = [...arrived.values()].map(([first = 0]) => first);
  const round = {
    latencies,
    lost: total - arrived.size,
    twice: [...arrived.values()].reduce((sum, times) => sum + times.length - 1, 0),
    busy,
    cpuPerMessage: new Map(
      [...pairs.pids].map(([name, pid]) => [name, (cpuMs(pid) - (cpuBefore.get(name) ?? 0)) / total]),
    ),
  };
  const at = (share: number) => percentile(latencies, share).toFixed(1);
  console.log(
    `  ${pairs.name.padEnd(13)} p50 ${at(0.5)} p95 ${at(0.95)} p99 ${at(0.99)} ms  lost ${round.lost} twice ${round.twice}  both cores ${Math.round(busy * 100)} % busy`,
  );
  return round;
};

const startedAt = performance.now();
const all: Pairs[] = [];
try {
  console.log(`${people} people × 2 devices, ${perSecond} messages/s`);
  for (const start of [skein, relay]) all.push(await start());
  const found = new Map<string, Round[]>();
  // Compilers and caches warm up.
  for (const pairs of all) await run(pairs, 4);
  for (let round = 0; round < rounds; round += 1) {
    for (const pairs of all) {
      found.set(pairs.name, [...(found.get(pairs.name) ?? []), await run(pairs, roundSeconds)]);
    }
  }
  const rows = [...found].map(([name, results]) => {
    const at = (share: number) => results.map(({ latencies }) => percentile(latencies, share));
    return [
      name,
      ...[0.5, 0.95, 0.99].map((share) => shown(at(share), 1)),
      shown(at(1), 0),
      String(results.reduce((sum, one) => sum + one.lost + one.twice, 0)),
      shown(
        results.map((one) => one.busy * 100),
        0,
      ),
    ];
  });
  const services = [...(found.get('skein')?.[0]?.cpuPerMessage.keys() ?? [])].map((name) => {
    const values = (found.get('skein') ?? []).map((one) => one.cpuPerMessage.get(name) ?? 0);
    return `${name} ${shown(values, 2)} ms`;
  });
  const section = [
    '## Latency: a message to the other device',
    `${machine()}, ${new Date().toISOString().slice(0, 10)}. ${people} people with two devices each, ${perSecond} messages a second in all (${textBytes} B, no answer asked for) through the whole embedded mesh, everything and the load on both cores, nothing pinned. Delay from the moment the message was due to be sent on the first device to its arrival on the second, committed in between. ${rounds} rounds of ${roundSeconds} s, in turn with a relay that only passes texts on: what is in its row is the machine's own part. argon2 is set to its cheapest for signing up; limits of one address and person are raised.`,
    table([['', 'p50 ms', 'p95 ms', 'p99 ms', 'longest ms', 'lost or twice', 'both cores busy, %'], ...rows]),
    `CPU a message: ${services.join(', ')}.`,
  ].join('\n\n');
  console.log(`\n${section}\n\n${Math.round((performance.now() - startedAt) / 1_000)} s in all`);
  await writeSection('latency', section);
} finally {
  for (const pairs of all) await pairs.close();
}
