import type { Database } from '@skein/postgres';
import { createLogger } from '@skein/telemetry';
import { createAnswerer } from './answerer.ts';
import { type Calls, simulatedCalls, type Target } from './calls.ts';
import { type ClassicClient, startClassic } from './classic.ts';
import { startConsumer } from './consumer.ts';
import { type DeviceOptions, type SimulatedDevice, startDevice } from './device.ts';
import { type Disk, type Ground, simulatedDisk } from './disk.ts';
import { simulatedBus } from './domain-bus.ts';
import { createFaults, ratesOf } from './faults.ts';
import { startGateway } from './gateway.ts';
import { digestOf, type Log, recordHistory } from './history.ts';
import type { Door } from './lines.ts';
import type { Machine } from './machine.ts';
import { createMembership } from './membership.ts';
import { simulatedNews } from './news.ts';
import { violations } from './oracles.ts';
import { createProcesses } from './processes.ts';
import { type Receiver, startReceiver } from './receiver.ts';
import { createRecorder, simulatedAccounts } from './recorder.ts';
import { readRecordings } from './recording-oracle.ts';
import type { Remains } from './remains.ts';
import { startReplica } from './replica.ts';
import { createSchedule, replaceGlobals, seededRandom } from './schedule.ts';
import { sizesOf } from './sizes.ts';
import type { Dump, Store } from './store.ts';
import { unrest } from './unrest.ts';
import { watchedStore } from './watched-store.ts';
import { createWorkload, keys, plain } from './workload.ts';

/** Where bugs made by hand are put in. */
export interface Seams {
  /** Between a replica and its disk. */
  readonly database?: ((database: Database, ground: Ground) => Database) | undefined;
  /** Between a line and the page; made anew for each device. */
  readonly incoming?: (() => NonNullable<DeviceOptions['incoming']>) | undefined;
  /** Between the gateways and the replicas. */
  readonly target?: ((target: Target) => Target) | undefined;
}

/** How one seed came out. */
export interface Outcome {
  readonly seed: number;
  /** What is not as promised; empty when all is well. */
  readonly violations: readonly string[];
  /** The same for the same seed. */
  readonly trace: string;
  readonly counts: {
    readonly devices: number;
    readonly mutations: number;
    readonly events: number;
    readonly sagas: number;
    /** Of events, at the consumer. */
    readonly effects: number;
    readonly crashes: number;
    readonly restores: number;
    readonly steps: number;
  };
}

/** 1 January 2030: ids that grow with time are in order whatever the day of the run. */
const startMs = Date.UTC(2030, 0, 1);
/** Everything must have come to rest so long after the last fault. */
const restMs = 120_000;
/** Then the hashes of all states are still compared. */
const checksMs = 10_000;

/** Runs one seed on an empty store, from its first moment to its last. */
export const runSeed = async (seed: number, store: Store, seams: Seams = {}): Promise<Outcome> => {
  const random = seededRandom(seed);
  const sizes = sizesOf(random);
  const schedule = createSchedule(startMs);
  const faults = createFaults(ratesOf(random), random);
  const ground: Ground = { schedule, random, faults };
  const log = createLogger({
    service: 'simulation',
    instance: 'simulation',
    level: process.env['SIM_LOG'] ?? 'silent',
  });
  const history = recordHistory(schedule.now);
  const logs: Log[] = [];
  const counts = { mutations: 0, restores: 0 };

  await store.clear();
  const users = Array.from({ length: sizes.people }, (_, at) => `user-${at + 1}`);
  const teams = Array.from(
    { length: sizes.teams },
    (_, at) => `00000000-0000-7000-8000-00000000000${at + 1}`,
  );
  for (const team of teams) {
    const others = users.slice(1).filter(() => random.chance(0.7));
    await store.makeTeam(team, `team-${team.at(-1)}`, [users[0] as string, ...others], startMs);
  }
  const firstMembers = await store.members();

  const disk: Disk = simulatedDisk(ground, watchedStore(store, schedule, history.violation));
  const news = simulatedNews(ground);
  const replicas: (Target | undefined)[] = Array.from({ length: sizes.replicas });
  const doors: (Door | undefined)[] = Array.from({ length: sizes.gateways });
  const consumers: (Machine | undefined)[] = Array.from({ length: sizes.consumers });
  const processes = createProcesses(ground, (name) => history.note('died', name, schedule.now()));

  const alive = <T>(all: readonly (T | undefined)[]): T[] => all.filter((one) => one !== undefined);
  const calls: Calls = simulatedCalls(ground, () => {
    const running = alive(replicas);
    const target = running.length > 0 ? random.pick(running) : undefined;
    return target && (seams.target?.(target) ?? target);
  });

  const answerer = createAnswerer(ground, calls);
  const domainBus = simulatedBus(ground, answerer.take);
  const membership = createMembership(ground, calls, { users, teams }, history.violation);

  const recorder = createRecorder(
    ground,
    calls,
    { users, spaces: ['personal', ...teams] },
    history.violation,
  );

  const diskOf = (machine: Machine): Database =>
    seams.database?.(disk.of(machine), ground) ?? disk.of(machine);
  const peers = { auth: simulatedAccounts(ground) };
  const startAll = () => {
    for (const at of replicas.keys())
      processes.keep(replicas, at, 'session-sync', (machine) =>
        startReplica({
          ...{ ground, machine, database: diskOf(machine), news, bus: domainBus.of(machine), log, peers },
        }),
      );
    for (const at of doors.keys())
      processes.keep(doors, at, 'gateway', (machine) =>
        startGateway(ground, machine, { calls, agent: answerer.client }, log),
      );
  };
  const startConsumers = () => {
    for (const at of consumers.keys())
      processes.keep(consumers, at, 'consumer', (machine) =>
        startConsumer({ ground, machine, database: diskOf(machine), bus: domainBus.of(machine), log }),
      );
  };

  const devices: SimulatedDevice[] = [];
  const device = () => random.pick(devices);
  const startDevices = () => {
    for (let at = 0; at < sizes.devices; at += 1) {
      const user = users[at % users.length] as string;
      const incoming = seams.incoming?.();
      devices.push(
        startDevice({
          ...{ ground, name: `dev-${at + 1}`, user },
          skewMs: random.chance(0.3) ? random.between(-3_600_000, 3_600_000) : random.between(-500, 500),
          door: () => doors[random.between(0, doors.length - 1)],
          witness: { ...history, wrong: history.violation },
          ...{ calls, turn: answerer.reading },
          ...(incoming ? { incoming } : {}),
        }),
      );
    }
  };

  const receivers: Receiver[] = [];
  const startReceivers = () => {
    for (let at = 0; at < sizes.receivers; at += 1)
      receivers.push(
        startReceiver({
          ...{
            ground,
            name: `reader-${at + 1}`,
            user: random.pick(users),
            by: random.pick(['stream', 'poll']),
          },
          door: () => doors[random.between(0, doors.length - 1)],
          witness: { at: history.at, wrong: history.violation },
          calls,
        }),
      );
  };
  const classics: ClassicClient[] = [];
  const startClassics = () => {
    for (let at = 0; at < sizes.classics; at += 1)
      classics.push(
        startClassic({
          ...{ ground, name: `classic-${at + 1}`, user: random.pick(users), wrong: history.violation },
          door: () => doors[random.between(0, doors.length - 1)],
        }),
      );
  };
  /** Everybody who follows spaces. */
  const followers = () => [...devices, ...receivers];

  const change = createWorkload(random);
  const endMs = startMs + sizes.durationMs;
  const work = () => {
    if (schedule.now() >= endMs) return;
    const one = device();
    const spaces = Object.keys(one.state.spaces);
    if (random.chance(sizes.messages)) one.say(`text ${counts.mutations}`);
    if (classics.length > 0 && random.chance(0.15)) {
      const type = random.pick(plain);
      const [id, key] = [`${type}-${random.between(1, 3)}`, random.pick(keys)];
      random.pick(classics).edit(type, id, key, `classic ${counts.mutations}`);
    }
    if (random.chance(sizes.changes)) void membership.change();
    if (random.chance(sizes.recordings)) recorder.record();
    if (spaces.length > 0)
      for (let burst = random.chance(0.2) ? random.between(2, 6) : 1; burst > 0; burst -= 1) {
        counts.mutations += 1;
        one.mutate(random.pick(spaces), change());
      }
    schedule.after(random.between(1, 2 * sizes.pauseMs), work);
  };

  let dump: Dump | undefined;
  /** As docs/how-to/restore-the-database.md says: all services stopped, the copy put back and re-anchored. */
  const restore = async (kept: Dump) => {
    processes.close();
    disk.forget();
    for (const { id } of await store.spaces()) logs.push(await store.log(id));
    counts.restores += 1;
    await store.restore(kept, (space) => `restored-${space.slice(0, 4)}-${space.at(-1)}`);
    history.note('restored', schedule.now());
    processes.open();
    startAll();
    startConsumers();
    answerer.again();
  };

  const trouble = () => {
    if (schedule.now() >= endMs) return;
    const what = random.between(1, 9);
    const one = random.pick([...followers(), ...classics]);
    if (what <= 2) one.cut();
    else if (what <= 4) {
      one.online(false);
      schedule.after(random.between(200, 8_000), () => one.online(true));
    } else if (what === 5) device().restart(random.chance(0.2) ? 'forgetting' : undefined);
    else if (what === 6) calls.breakStreams();
    else if (what === 7) processes.killOne();
    else if (what === 8 && random.chance(0.5)) disk.awayUntil(schedule.now() + random.between(100, 2_000));
    schedule.after(random.between(100, 3_000), trouble);
  };

  const gather = async (): Promise<Remains> => {
    const current: Log[] = [];
    const documents = new Map<string, Awaited<ReturnType<Store['documents']>>>();
    for (const { id } of await store.spaces()) {
      current.push(await store.log(id));
      documents.set(id, await store.documents(id));
    }
    return {
      ...{ history, current, documents, logs: [...logs, ...current], lastSeqs: await store.lastSeqs() },
      ...{ teams: firstMembers, members: await store.members(), askedAtMs: membership.askedAtMs },
      ...{ devices: followers(), stored: domainBus.stored, asked: recorder.asked },
      effects: sizes.consumers > 0 ? await store.effects() : undefined,
      recordings: await readRecordings(store.database),
      replicas: followers().flatMap(({ id, state }) =>
        Object.entries(state.spaces).map(([space, one]) => ({
          ...{ device: id, space, epoch: one.position?.epoch ?? '', offset: one.position?.offset ?? -1 },
          digest: digestOf(Object.values(one.documents)),
        })),
      ),
    };
  };

  const giveBack = replaceGlobals(schedule, random);
  try {
    startAll();
    startConsumers();
    schedule.after(500, startDevices);
    schedule.after(600, startReceivers);
    schedule.after(700, startClassics);
    schedule.after(1_000, work);
    schedule.after(1_500, trouble);
    if (sizes.restores) {
      schedule.after(random.between(2_000, sizes.durationMs / 2), async () => {
        dump = await store.dump();
      });
      schedule.after(random.between(sizes.durationMs / 2, sizes.durationMs), () => dump && restore(dump));
    }
    await schedule.run(endMs);
    faults.end();
    for (const one of [...followers(), ...classics]) one.online(true);
    let waitsFor: string | undefined = 'everything';
    for (let waitedMs = 0; waitedMs < restMs && waitsFor; waitedMs += 1_000) {
      await schedule.run(schedule.now() + 1_000);
      const waiting = { recordings: recorder.waiting, deliveries: domainBus.waiting };
      waitsFor = await unrest(
        store,
        { devices, followers: followers(), classics, teams, waiting },
        schedule.now(),
      );
    }
    if (waitsFor) history.violation(`liveness: ${restMs / 1_000} s after the last fault ${waitsFor}`);
    const restedAtMs = schedule.now();
    await schedule.run(restedAtMs + checksMs);
    const busy = classics.find(({ sentAtMs }) => sentAtMs > restedAtMs);
    if (busy && !waitsFor) history.violation(`loop: ${busy.id} sends documents to and fro again`);
    const remains = await gather();
    const found = violations(remains);
    history.note(schedule.steps, ...remains.current.map(({ entries }) => entries.map(({ id }) => id).join()));
    return {
      seed,
      violations: found,
      trace: history.trace.hash,
      counts: {
        ...counts,
        crashes: processes.crashes,
        sagas: remains.recordings.recordings.length,
        effects: remains.effects?.made.length ?? 0,
        devices: devices.length,
        events: remains.current.reduce((sum, { entries }) => sum + entries.length, 0),
        steps: schedule.steps,
      },
    };
  } finally {
    processes.close();
    giveBack();
  }
};
