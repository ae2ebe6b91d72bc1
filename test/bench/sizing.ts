/**
 * What one more of something costs each service, for docs/reference/sizing.md: a person who connects, a second device,
 * a request, a message, an answer, a login. CPU time and memory of the processes, not how long it took: those hold on a
 * busy machine too.
 */
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import WebSocket from 'ws';
import { newPerson, type Person, type TestMesh, testMesh } from '../e2e/support/mesh.ts';
import { benchEnvironment, helloOf } from './fanout-systems.ts';
import { cpuMs, machine, rssKib } from './measure-process.ts';
import { percentile, table } from './measure-stats.ts';
import { writeSection } from './report-section.ts';

const people = 1_500;
const requests = 4_000;
const messages = 2_000;
const answers = 600;
const logins = 80;
const registrations = 200;
/** Clients that wait for an answer at the same time. */
const abreast = 16;
/** Until collectors have run and buffers are given back. */
const settleMs = 8_000;
const services = ['gateway', 'auth', 'user', 'session-sync', 'agent'] as const;

const inTurns = async <R>(count: number, work: (n: number) => Promise<R>, width = abreast): Promise<R[]> => {
  const results: R[] = [];
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const n = next;
      next += 1;
      results[n] = await work(n);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  return results;
};

const pidOf = ({ mesh }: TestMesh, service: string): number => mesh.processes.get(service)?.pid ?? 0;
const each = (mesh: TestMesh, measure: (pid: number) => number): number[] =>
  services.map((service) => measure(pidOf(mesh, service)));

/** CPU of every service for one of `count`, in milliseconds. */
const cpuOf = async (mesh: TestMesh, count: number, work: () => Promise<unknown>): Promise<number[]> => {
  const before = each(mesh, cpuMs);
  await work();
  return each(mesh, cpuMs).map((ms, at) => (ms - (before[at] ?? 0)) / count);
};

const settledKib = async (mesh: TestMesh): Promise<number[]> => {
  await pause(settleMs);
  return each(mesh, rssKib);
};

interface Heard {
  readonly type: string;
  readonly id?: string;
  readonly turnId?: string;
  readonly event?: { readonly type: string; readonly data: { readonly turnId?: string } };
}

/** A device that asks and waits, one message after the other. */
const openDevice = async (mesh: TestMesh, { accessToken }: Person, name: string) => {
  const socket = new WebSocket(`${mesh.url.replace('http', 'ws')}/v1/connect`, { perMessageDeflate: false });
  await once(socket, 'open');
  let hear = (_: Heard): void => {};
  socket.on('message', (data) => hear(JSON.parse(String(data)) as Heard));
  const until = (wanted: (frame: Heard) => boolean): Promise<Heard> =>
    new Promise((resolve) => {
      hear = (frame) => {
        if (wanted(frame)) resolve(frame);
      };
    });
  const welcome = until(({ type }) => type === 'welcome');
  socket.send(helloOf(accessToken, name));
  await welcome;
  let asked = 0;
  return {
    close: () => socket.terminate(),
    /** Resolves when the message is committed, and with `reply` when its answer has ended. */
    say: async (reply: boolean): Promise<void> => {
      asked += 1;
      const id = `${name}-${asked}`;
      const text = `What did I write about the garden in note ${asked}?`.padEnd(256, '.');
      const done = until(({ type, id: of, event }) =>
        reply ? event?.type === 'message.completed' : type === 'result' && of === id,
      );
      socket.send(
        JSON.stringify({ type: 'message', id, space: 'personal', clientMessageId: id, text, reply }),
      );
      await done;
    },
  };
};

const rows: string[][] = [];
const cpuRow = (what: string, ms: readonly number[]) =>
  rows.push([what, ...ms.map((one) => (one < 0.005 ? '–' : `${one.toFixed(2)} ms`))]);
const kibRow = (what: string, kib: readonly number[]) =>
  rows.push([what, ...kib.map((one) => (one < 0.5 ? '–' : `${one.toFixed(0)} KiB`))]);

const ofEverything = async (): Promise<void> => {
  await using mesh = await testMesh({
    env: { ...benchEnvironment, AGENT_OFFLINE_PACE_MS: '0', AGENT_MAX_TURNS: '64' },
  });
  const signedUp = await inTurns(people, () => newPerson(mesh.url));
  const rest = await settledKib(mesh);
  rows.push([`at rest, ${people} people known`, ...rest.map((kib) => `${(kib / 1024).toFixed(0)} MiB`)]);
  const firsts = await inTurns(people, (n) => openDevice(mesh, signedUp[n] as Person, 'phone'));
  const one = await settledKib(mesh);
  kibRow(
    'a person who connects',
    one.map((kib, at) => (kib - (rest[at] ?? 0)) / people),
  );
  const seconds = await inTurns(people, (n) => openDevice(mesh, signedUp[n] as Person, 'laptop'));
  const two = await settledKib(mesh);
  kibRow(
    'one more device of a person',
    two.map((kib, at) => (kib - (one[at] ?? 0)) / people),
  );
  const me = async (n: number) => {
    const headers = { authorization: `Bearer ${signedUp[n % people]?.accessToken}` };
    const answer = await fetch(`${mesh.url}/v1/me`, { headers });
    await answer.arrayBuffer();
    if (answer.status !== 200) throw new Error(`GET /v1/me answered ${answer.status}`);
  };
  await inTurns(requests, me);
  cpuRow('a request (GET /v1/me)', await cpuOf(mesh, requests, () => inTurns(requests, me)));
  const say = (reply: boolean) => async (n: number) => {
    await firsts[n % people]?.say(reply);
  };
  await inTurns(people, say(false));
  cpuRow(
    'a message to two devices, no answer asked for',
    await cpuOf(mesh, messages, () => inTurns(messages, say(false))),
  );
  cpuRow(
    'a message with an answer (built-in, some 30 words)',
    await cpuOf(mesh, answers, () => inTurns(answers, say(true))),
  );
  for (const device of [...firsts, ...seconds]) device.close();
};

/** How long registering takes, `width` people at a time: it is a saga behind its answer. */
const registering = async (mesh: TestMesh, width: number): Promise<void> => {
  const times: number[] = [];
  const begun = performance.now();
  const cpu = await cpuOf(mesh, registrations, () =>
    inTurns(
      registrations,
      async () => {
        const startedAt = performance.now();
        await newPerson(mesh.url);
        times.push(performance.now() - startedAt);
      },
      width,
    ),
  );
  const perSecond = registrations / ((performance.now() - begun) / 1_000);
  const at = (share: number) => percentile(times, share).toFixed(0);
  const what = `a registration, ${width} at a time`;
  cpuRow(`${what} (${perSecond.toFixed(0)} a second, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms)`, cpu);
};

const ofLogins = async (): Promise<void> => {
  const { AUTH_ARGON2_MEMORY_KIB: _memory, AUTH_ARGON2_PASSES: _passes, ...environment } = benchEnvironment;
  await using mesh = await testMesh({ env: environment });
  const { email, password } = await newPerson(mesh.url);
  const login = async () => {
    const answer = await fetch(`${mesh.url}/v1/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email, password }),
    });
    await answer.arrayBuffer();
    if (answer.status !== 200) throw new Error(`login answered ${answer.status}`);
  };
  await inTurns(abreast, login);
  cpuRow('a login', await cpuOf(mesh, logins, () => inTurns(logins, login)));
  for (const width of [1, abreast]) await registering(mesh, width);
};

await ofEverything();
await ofLogins();
const section = [
  '## What one more costs',
  `${machine()}, ${new Date().toISOString().slice(0, 10)}. The embedded mesh, one process a service; CPU time and resident memory of each. ${people} people with one device, then two; ${requests} requests, ${messages} messages of 256 B, ${answers} answers, ${logins} logins and ${registrations} registrations at the default cost of a password, ${abreast} at a time. Postgres is not in it.`,
  table([['', ...services], ...rows]),
].join('\n\n');
console.log(`\n${section}\n`);
await writeSection('sizing', section);
