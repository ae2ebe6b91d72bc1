import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConsulAgent, type NatsServer, startConsul, startNats } from '@skein/components';
import type { SupervisedProcess } from '@skein/launcher';
import { embeddedPostgres } from '@skein/postgres';
import { type FaultProxy, faultProxy } from '@skein/testkit';
import { freeBlock, testMesh } from '../e2e/support/mesh.ts';
import { tallyPolicies } from '../load/documents.ts';

/** A component that is killed and started again at its address. */
export interface Killable {
  /** Ends it at once, as a power cut would. */
  kill(): Promise<void>;
  /** Starts it again; `empty` without what it had kept. */
  start(empty?: boolean): Promise<void>;
}

/** Lines that a fault can be put on: of all services to a component, and of clients to a gateway. */
export const lineNames = ['postgres', 'nats', 'consul', 'gateway.1', 'gateway.2'] as const;

/** One of `lineNames`. */
export type LineName = (typeof lineNames)[number];

/** Two of each service as `npm start -- --mesh` has them, on real components, with a fault proxy on every line. */
export interface FaultyStack extends AsyncDisposable {
  /** Where the next client goes: to one gateway after the other, through its line. */
  readonly address: () => string;
  /** The database itself, past its line. */
  readonly databaseUrl: string;
  readonly processes: ReadonlyMap<string, SupervisedProcess>;
  readonly components: Readonly<Record<'postgres' | 'nats' | 'consul', Killable>>;
  readonly lines: Readonly<Record<LineName, FaultProxy>>;
  /** What the processes logged, for looking things up after a violation. */
  readonly logs: readonly string[];
}

/** Limits out of the way of a few people who retry together; pings close enough to notice a dead line soon. */
const environment = {
  ...{ SOCKETS_PER_PERSON: '100', UNAUTHENTICATED_PER_ADDRESS: '1000', PING_MS: '2000' },
  ...{ MESSAGES_PER_SECOND: '1000', MESSAGES_BURST: '1000', REQUESTS_PER_SECOND: '1000' },
  ...{ ANONYMOUS_PER_SECOND: '1000', LOGINS_PER_MINUTE: '1000', REGISTRATIONS_PER_HOUR: '1000' },
  ...{ AUTH_ARGON2_MEMORY_KIB: '1024', AUTH_ARGON2_PASSES: '1' },
  // What is worth a look after a violation, and little enough to keep.
  LOG_LEVEL: 'warn',
  COLLECTION_POLICIES: JSON.stringify(tallyPolicies),
};

/** Two replicas of four services with four connections each, and what half-open lines leave behind for a while. */
const maxConnections = 120;

const postgresIn = async (dataDir: string) => {
  const server = embeddedPostgres({ dataDir, maxConnections });
  await server.run();
  const kill = async () => {
    const ended = new Promise<void>((resolve) => {
      const unsubscribe = server.onExit(() => {
        unsubscribe();
        resolve();
      });
    });
    if (server.pid === undefined) return;
    process.kill(server.pid, 'SIGKILL');
    await ended;
  };
  return { server, killable: { kill, start: () => server.run() } };
};

const natsIn = async (storeDir: string, base: number) => {
  const ports = { client: base, monitor: base + 1 };
  let nats: NatsServer = await startNats({ storeDir, ports });
  return {
    ports,
    stop: () => nats.stop(),
    killable: {
      kill: () => nats.kill(),
      start: async (empty = false) => {
        await nats.stop();
        if (empty) rmSync(storeDir, { recursive: true, force: true });
        nats = await startNats({ storeDir, ports });
      },
    },
  };
};

const consulAt = async (base: number) => {
  const ports = { http: base, serf: base + 1, server: base + 2 };
  let consul: ConsulAgent = await startConsul({ ports });
  return {
    ports,
    stop: () => consul.stop(),
    killable: {
      kill: () => consul.kill(),
      // It keeps nothing: every instance has to register again.
      start: async () => {
        await consul.stop();
        consul = await startConsul({ ports });
      },
    },
  };
};

/** Starts everything; dispose stops it and removes the data. */
export const faultyStack = async (): Promise<FaultyStack> => {
  await using started = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), 'skein-faults-'));
  started.defer(() => rmSync(directory, { recursive: true, force: true }));
  // As root the database runs as somebody else, who has to get in.
  chmodSync(directory, 0o755);
  const base = await freeBlock();

  const [postgres, nats, consul] = await Promise.all([
    postgresIn(join(directory, 'postgres')),
    natsIn(join(directory, 'nats'), base),
    consulAt(base + 2),
  ]);
  started.defer(() => postgres.server.stop());
  started.defer(() => nats.stop());
  started.defer(() => consul.stop());

  const lineTo = async (target: Parameters<typeof faultProxy>[0]['target'], at: number) =>
    started.use(await faultProxy({ target, port: base + 10 + at }));
  const database = new URL(postgres.server.url);
  const socketDir = database.searchParams.get('host');
  const lines = {
    postgres: await lineTo({ path: `${socketDir}/.s.PGSQL.${database.port || 5432}` }, 0),
    nats: await lineTo({ port: nats.ports.client }, 1),
    consul: await lineTo({ port: consul.ports.http }, 2),
  };
  const mesh = await testMesh({
    mesh: true,
    env: {
      ...environment,
      DATABASE_URL: `postgres://${database.username}@127.0.0.1:${lines.postgres.port}${database.pathname}`,
      EVENTS_URL: `nats://127.0.0.1:${lines.nats.port}`,
      DISCOVERY_URL: `consul://127.0.0.1:${lines.consul.port}`,
    },
  });
  started.use(mesh);
  const first = Number(new URL(mesh.url).port);
  const gateways = {
    'gateway.1': await lineTo({ port: first }, 3),
    'gateway.2': await lineTo({ port: first + 10 }, 4),
  };
  let next = 0;
  const doors = Object.values(gateways);
  const whole = started.move();
  return {
    address: () => {
      next += 1;
      return `http://127.0.0.1:${doors[next % doors.length]?.port}`;
    },
    databaseUrl: postgres.server.url,
    processes: mesh.mesh.processes,
    components: { postgres: postgres.killable, nats: nats.killable, consul: consul.killable },
    lines: { ...lines, ...gateways },
    logs: mesh.lines,
    [Symbol.asyncDispose]: () => whole.disposeAsync(),
  };
};
