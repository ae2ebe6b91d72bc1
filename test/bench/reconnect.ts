/**
 * 5,000 sockets lose their connection at the same moment and come back with a position one event behind the head, over
 * the whole embedded mesh: once because the lines are cut, once because the gateway is killed and has to start again.
 * Counted until the last one has its event, with what all services ask of Postgres meanwhile.
 */
import { setTimeout as pause } from 'node:timers/promises';
import WebSocket from 'ws';
import { newPerson, testMesh } from '../e2e/support/mesh.ts';
import { pauseBefore } from '../load/receiver.ts';
import { windowOf } from '../load/resuming-socket.ts';
import { benchEnvironment, helloOf } from './fanout-systems.ts';
import { cpuMs, machine } from './measure-process.ts';
import { percentile, shown, table } from './measure-stats.ts';
import { writeSection } from './report-section.ts';

const people = Number(process.env['BENCH_PEOPLE'] ?? 1_250);
const devicesEach = 4;
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 5);
/** People who sign up at the same time. */
const abreast = 16;
const patienceMs = 60_000;
/** After so long the launcher takes a process for a healthy one. */
const healthyAfterMs = 11_000;
/** `testMesh` puts the management ports forty above the public one, in this order. */
const services = ['gateway', 'auth', 'user', 'session-sync', 'agent'];

await using mesh = await testMesh({ env: benchEnvironment });
const address = `${mesh.url.replace('http', 'ws')}/v1/connect`;
const firstManagement = Number(new URL(mesh.url).port) + 40;

/** Queries and transactions of all services so far. */
const databaseWork = async (): Promise<{ queries: number; transactions: number }> => {
  const pages = await Promise.all(
    services.map(async (_, at) => (await fetch(`http://127.0.0.1:${firstManagement + at}/metrics`)).text()),
  );
  const count = (work: string) =>
    pages
      .flatMap((page) => [...page.matchAll(/^skein_database_seconds_count\{(.*)\} (\d+)/gm)])
      .filter(([, labels]) => labels?.includes(`work="${work}"`))
      .reduce((sum, [, , value]) => sum + Number(value), 0);
  return { queries: count('query'), transactions: count('transaction') };
};

/** CPU milliseconds so far of those who do the most, ourselves among them. */
const cpuTimes = (): Record<string, number> => {
  const { processes } = mesh.mesh;
  const pids = ['gateway', 'session-sync'].map((name) => [name, processes.get(name)?.pid] as const);
  return Object.fromEntries(
    [...pids, ['clients', process.pid] as const].map(([name, pid]) => [name, pid ? cpuMs(pid) : 0]),
  );
};

interface Place {
  readonly space: string;
  readonly epoch: string;
  readonly offset: number;
}

/** One device; it comes back by itself, always from the position before the newest event of its space. */
class Returning {
  readonly token: string;
  readonly device: string;
  private place: Place | undefined;
  private socket: WebSocket | undefined;
  private attempts = 0;
  /** When to come back, as the last close said. */
  private window: readonly [number, number] | undefined;
  private done: (() => void) | undefined;
  failures = 0;

  constructor(token: string, device: string) {
    this.token = token;
    this.device = device;
  }

  /** Connects, from the head the first time, and resolves when nothing is missing. */
  whole(): Promise<void> {
    return new Promise((resolve) => {
      this.done = resolve;
      this.connect();
    });
  }

  /** Breaks the line. */
  cut(): void {
    this.socket?.removeAllListeners('close');
    this.socket?.terminate();
  }

  /** Resolves when the line was broken by somebody else and nothing is missing again. */
  wholeAgain(): Promise<void> {
    return new Promise((resolve) => {
      this.done = resolve;
    });
  }

  private settle(): void {
    this.attempts = 0;
    this.done?.();
    this.done = undefined;
  }

  private connect(): void {
    const socket = new WebSocket(address, { perMessageDeflate: false });
    this.socket = socket;
    // The close that follows says the rest.
    socket.on('error', () => {});
    socket.on('open', () =>
      socket.send(helloOf(this.token, this.device, this.place ? [this.place] : undefined)),
    );
    socket.on('close', (_code, reason: Buffer) => {
      this.window = windowOf(reason.toString());
      this.failures += 1;
      this.attempts += 1;
      setTimeout(() => this.connect(), pauseBefore(this.window, this.attempts));
    });
    socket.on('message', (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as Record<string, unknown>;
      // What may be tried again is followed by a close that says when.
      if (frame['type'] === 'error' && frame['retryable'] === true) return;
      if (frame['type'] === 'snapshot' || frame['type'] === 'error') throw new Error(data.toString());
      if (frame['type'] === 'event') this.settle();
      if (frame['type'] !== 'welcome' || this.place) return;
      const [stream] = frame['streams'] as Place[];
      if (!stream) throw new Error('welcome without streams');
      this.place = { space: stream.space, epoch: stream.epoch, offset: stream.offset };
      this.settle();
    });
  }
}

const devices: Returning[] = [];
const tokens: string[] = [];
let signedUp = 0;
const lane = async () => {
  while (signedUp < people) {
    signedUp += 1;
    const { accessToken } = await newPerson(mesh.url);
    tokens.push(accessToken);
    const own = Array.from({ length: devicesEach }, (_, at) => new Returning(accessToken, `device-${at}`));
    await Promise.all(own.map((device) => device.whole()));
    devices.push(...own);
  }
};
await Promise.all(Array.from({ length: abreast }, lane));
console.log(`  ${devices.length} sockets of ${people} people are connected`);

// The event that everybody misses.
const seen = Promise.all(devices.map((device) => device.wholeAgain()));
let asked = 0;
const write = async () => {
  for (let token = tokens[asked]; token; token = tokens[asked]) {
    asked += 1;
    const response = await fetch(`${mesh.url}/v1/spaces/personal/messages`, {
      method: 'POST',
      headers: {
        ...{ authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        'idempotency-key': crypto.randomUUID(),
      },
      body: JSON.stringify({ clientMessageId: crypto.randomUUID(), text: 'missed', reply: false }),
    });
    if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`);
  }
};
await Promise.all(Array.from({ length: abreast }, write));
await seen;

interface Round {
  readonly allMs: number;
  readonly p50Ms: number;
  readonly queries: number;
  readonly transactions: number;
  readonly failures: number;
  /** CPU milliseconds a socket. */
  readonly cpu: Readonly<Record<string, number>>;
}

const measured = async (begin: () => Promise<void>[]): Promise<Round> => {
  const before = await databaseWork();
  const cpuBefore = cpuTimes();
  for (const device of devices) device.failures = 0;
  const startedAt = performance.now();
  const times: number[] = [];
  const late = setTimeout(() => {
    throw new Error(`only ${times.length} of ${devices.length} were back after ${patienceMs} ms`);
  }, patienceMs);
  await Promise.all(begin().map((one) => one.then(() => times.push(performance.now() - startedAt))));
  clearTimeout(late);
  const cpu = Object.entries(cpuTimes()).map(
    ([name, ms]) => [name, (ms - (cpuBefore[name] ?? 0)) / devices.length] as const,
  );
  const after = await databaseWork();
  return {
    allMs: Math.max(...times),
    p50Ms: percentile(times, 0.5),
    queries: (after.queries - before.queries) / devices.length,
    transactions: (after.transactions - before.transactions) / devices.length,
    failures: devices.reduce((sum, { failures }) => sum + failures, 0),
    cpu: Object.fromEntries(cpu),
  };
};

const cutLines = () =>
  devices.map(async (device) => {
    device.cut();
    await new Promise((resolve) => setTimeout(resolve, pauseBefore(undefined, 0)));
    await device.whole();
  });
const killGateway = () => {
  const all = devices.map((device) => device.wholeAgain());
  mesh.mesh.processes.get('gateway')?.kill('SIGKILL');
  return all;
};

const row = (what: string, some: readonly Round[]): string[] => [
  what,
  shown(
    some.map(({ p50Ms }) => p50Ms / 1_000),
    2,
  ),
  shown(
    some.map(({ allMs }) => allMs / 1_000),
    2,
  ),
  shown(
    some.map(({ queries }) => queries),
    2,
  ),
  shown(
    some.map(({ transactions }) => transactions),
    2,
  ),
  shown(
    some.map(({ failures }) => failures),
    0,
  ),
];

const rows: string[][] = [];
for (const [what, begin] of [
  ['every line is cut', cutLines],
  ['the gateway is killed', killGateway],
] as const) {
  const some: Round[] = [];
  // The first one warms up. The gateway asks Postgres nothing: that its count begins anew when it is killed is no matter.
  for (let round = 0; round <= rounds; round += 1) {
    // A gateway that died young is given longer before it starts again, and that is not what is measured.
    if (begin === killGateway) await pause(healthyAfterMs);
    const one = await measured(begin);
    if (round > 0) some.push(one);
    console.log(`  ${what}: ${JSON.stringify(one)}`);
  }
  rows.push(row(what, some));
}
for (const device of devices) device.cut();

const section = [
  '## Reconnect: 5,000 sockets cut at once',
  `${machine()}, ${new Date().toISOString().slice(0, 10)}. ${devices.length.toLocaleString('en')} sockets of ${people.toLocaleString('en')} people, on the whole embedded mesh with nothing else to do; the clients share its cores, in one process. Each comes back after up to 0.2 s, as the protocol says, longer after each attempt that fails, with a position one event behind the head, and is whole when it has that event. From the cut to the last one; ${rounds} rounds after one to warm up. Aim when lines are cut: all whole within 5 s, 1.2 queries of Postgres a socket. A gateway that was killed has to start again first, and takes all of them at once.`,
  table([
    [
      'what',
      'half of them whole, s',
      'all whole, s',
      'queries a socket',
      'transactions a socket',
      'failed attempts',
    ],
    ...rows,
  ]),
].join('\n\n');
console.log(`\n${section}`);
await writeSection('reconnect', section);
