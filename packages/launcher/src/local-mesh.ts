import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ConsulAgent, NatsServer } from '@skein/components';
import { type EmbeddedPostgres, embeddedPostgres } from '@skein/postgres';
import { lifecycle, type Service } from '@skein/service-kit';
import { takeDataDir } from './data-dir.ts';
import { keptComponent } from './kept-component.ts';
import { keptPostgres } from './kept-postgres.ts';
import { endLeftovers, type ProcessRecord, recordProcesses, runVariable } from './leftovers.ts';
import {
  assertFree,
  componentPorts,
  instancesOf,
  type PlannedPort,
  type PortPlan,
  plannedPorts,
  type ServiceName,
  serviceNames,
} from './ports.ts';
import { loadSecrets, type Secrets } from './secrets.ts';
import { type Environment, type Surroundings, serviceEnv } from './service-env.ts';
import { inGroups, together } from './service-processes.ts';
import { placeSettings, settingsUrl } from './settings-file.ts';
import { type ProcessEvent, type SupervisedProcess, supervise } from './supervised-process.ts';
import { type TraceSink, traceSink } from './trace-sink.ts';

/**
 * One thread that helps to collect garbage instead of four, as in the images: each takes as large a part of the core as
 * the service itself while it works, and everybody who is connected waits. New objects are collected without its help:
 * the service would wait for it on the same core.
 */
const nodeFlags = ['--v8-pool-size=1', '--no-parallel-scavenge'];

/** What a local mesh is made of. */
export interface LocalMeshOptions extends PortPlan {
  /** Database, stores, secrets and the lock of this copy. */
  readonly dataDir: string;
  /** Real Consul, NATS JetStream and a trace endpoint, two instances of every service. */
  readonly mesh: boolean;
  /** The environment of the services is this plus what the launcher decides; what is set here wins for the URLs. */
  readonly env: Environment;
  /** Of a new data directory, until its settings say something else. Default `info`. */
  readonly logLevel?: string;
  /** The program of a service; its sources by default. For trying the bundles that go into images. */
  readonly mainOf?: (service: ServiceName) => string;
  /** Told what happens, by the name of the part. */
  readonly told: (name: string, event: ProcessEvent) => void;
}

/** A component that can be taken away for a drill. */
export type DrillComponent = 'consul' | 'nats';

/** A running mesh on this machine. */
export interface LocalMesh extends Service {
  /** Where people and apps connect. */
  readonly url: string;
  /** Of the data directory; known after `run`. */
  readonly secrets: Secrets;
  /** `auth` or, with several instances, `auth.1`, `auth.2`. */
  readonly processes: ReadonlyMap<string, SupervisedProcess>;
  readonly postgres: EmbeddedPostgres | undefined;
  readonly consul: (() => ConsulAgent | undefined) | undefined;
  readonly nats: (() => NatsServer | undefined) | undefined;
  readonly traces: TraceSink | undefined;
  /** Takes a component away and brings it back at the same address. */
  readonly drills: {
    pause(component: DrillComponent): Promise<void>;
    resume(component: DrillComponent): Promise<void>;
  };
  /** What each part is, for people: database, discovery, events, settings, model, telemetry. */
  readonly uses: Readonly<Record<string, string>>;
  /** Ends every process at once, without draining: what is left of a stop that takes too long. */
  abandon(): void;
}

const root = fileURLToPath(new URL('../../../', import.meta.url));
const readyTimeoutMs = 60_000;
/** Longer than a service's own drain (10 s) and stops. */
const stopTimeoutMs = 20_000;

/** Users face the gateway: it stops first. The database's owners stop after those who call them. */
const startOrder: readonly ServiceName[] = ['auth', 'user', 'session-sync', 'agent', 'gateway'];

/** An embedded server may serve the next start too, with `--mesh` or without: it is always large enough for two instances. */
const maxConnections = (poolSize: string | undefined): number => {
  const perProcess = /^\d{1,3}$/.test(poolSize ?? '') ? Number(poolSize) : 4;
  // And a handful for people, and what replaces a pool during a restart needs.
  return perProcess * serviceNames.length * 2 + 20;
};

/**
 * Composes the whole mesh on this machine: the database (and Consul, NATS, traces), then the five services as
 * processes of their own. `run` resolves when every service said that it is ready; `stop` drains the gateway
 * first and the database last, and leaves no process behind. Processes of a start that was itself killed are ended
 * first. Errors: SecondCopyError, BusyPortError, StartFailure, `unavailable` from the database, all of them with
 * sentences for people.
 */
export const localMesh = (options: LocalMeshOptions): LocalMesh => {
  const { dataDir, mesh, env } = options;
  const instances = instancesOf(mesh);
  const given = (name: string): string | undefined => env[name] || undefined;
  const line = (name: string) => (text: string) => options.told(name, { kind: 'line', line: text });
  /** Says when a component is ready; services say so themselves. */
  const announced = (part: Service): Service => ({
    ...part,
    run: async () => {
      const startedAt = performance.now();
      await part.run();
      options.told(part.id, { kind: 'ready', afterMs: Math.round(performance.now() - startedAt) });
    },
  });

  const run = randomUUID();
  let secrets: Secrets | undefined;
  let record: ProcessRecord | undefined;
  let release = () => {};
  const holdDataDir: Service = {
    id: 'data directory',
    run: async () => {
      release = takeDataDir(dataDir);
      await endLeftovers(dataDir, line('launcher'));
      secrets = loadSecrets(dataDir);
      placeSettings(dataDir, options.logLevel ?? 'info');
      record = recordProcesses(dataDir, run);
    },
    stop: async () => {
      record?.clear();
      release();
    },
  };
  const ports: Service = {
    id: 'ports',
    run: async () => {
      const hostOf = ({ option }: PlannedPort) =>
        option === '--port' ? (given('HOST') ?? '127.0.0.1') : '127.0.0.1';
      await Promise.all(plannedPorts(options, mesh).map((one) => assertFree(one, hostOf(one))));
    },
    stop: async () => {},
  };

  const ownDatabase = given('DATABASE_URL') ?? 'embedded:';
  const postgres = ownDatabase.startsWith('embedded:')
    ? embeddedPostgres({
        dataDir: join(dataDir, 'postgres'),
        maxConnections: maxConnections(given('DATABASE_POOL_SIZE')),
      })
    : undefined;
  const database = postgres && keptPostgres(postgres, line('postgres'));
  // Loaded only where it is used: most starts need neither.
  const components = () => import('@skein/components');
  const componentsAt = componentPorts(options);
  const consul =
    mesh && !given('DISCOVERY_URL')
      ? keptComponent<ConsulAgent>(
          'consul',
          async () => (await components()).startConsul({ ports: componentsAt.consul }),
          line('consul'),
        )
      : undefined;
  const nats =
    mesh && !given('EVENTS_URL')
      ? keptComponent<NatsServer>(
          'nats',
          async () =>
            (await components()).startNats({ storeDir: join(dataDir, 'nats'), ports: componentsAt.nats }),
          line('nats'),
        )
      : undefined;
  const traces = mesh && !given('OTEL_EXPORTER_OTLP_ENDPOINT') ? traceSink(0) : undefined;

  const surroundings = (): Surroundings => {
    if (!secrets) throw new Error('the data directory is not taken yet');
    const collector = given('OTEL_EXPORTER_OTLP_ENDPOINT');
    return {
      ...options,
      instances,
      secrets,
      consoleDir: join(root, 'packages/console/dist'),
      databaseUrl: postgres?.url ?? ownDatabase,
      discoveryUrl:
        given('DISCOVERY_URL') ?? consul?.current()?.httpAddress.replace(/^http:/, 'consul:') ?? undefined,
      eventsUrl: given('EVENTS_URL') ?? nats?.current()?.url ?? 'postgres:',
      traces: traces
        ? { url: traces.url, json: true }
        : collector
          ? { url: collector, json: false }
          : undefined,
    };
  };

  const processes = new Map<string, SupervisedProcess>();
  const processOf = (name: ServiceName, at: number): SupervisedProcess => {
    const instance = instances === 1 ? name : `${name}.${at + 1}`;
    const spec = {
      name: instance,
      command: process.execPath,
      args: [...nodeFlags, options.mainOf?.(name) ?? join(root, 'services', name, 'src/main.ts')],
      // Read at each start: the addresses of the components are known only once they run.
      env: () => ({ ...serviceEnv(surroundings(), name, at, instance), [runVariable]: run }),
      readyTimeoutMs,
      stopTimeoutMs,
    };
    const one = supervise(spec, (event) => {
      if (event.kind === 'started') record?.note(instance, event.pid);
      options.told(instance, event);
    });
    processes.set(instance, one);
    return one;
  };
  const groups = startOrder.map((name) => Array.from({ length: instances }, (_, at) => processOf(name, at)));

  const own = [database, consul, nats, traces].filter((part) => part !== undefined).map(announced);
  const whole = lifecycle(
    'local-mesh',
    [holdDataDir, ports, together('components', own), inGroups('services', groups)],
    {
      stopTimeoutMs: stopTimeoutMs * (groups.length + 1),
      onError: (part, error) => line(part)(String(error)),
    },
  );

  const kept = { consul, nats };
  return {
    id: whole.id,
    run: whole.run,
    stop: whole.stop,
    url: `http://127.0.0.1:${options.port}`,
    get secrets() {
      return surroundings().secrets;
    },
    processes,
    postgres,
    consul: consul?.current,
    nats: nats?.current,
    traces,
    drills: {
      pause: async (component) => kept[component]?.pause(),
      resume: async (component) => kept[component]?.resume(),
    },
    get uses() {
      const foreign = (name: string) => (given(name) ? `${name} of the environment` : undefined);
      return {
        database: postgres
          ? `embedded PostgreSQL in ${join(dataDir, 'postgres')}`
          : 'PostgreSQL at DATABASE_URL',
        discovery:
          foreign('DISCOVERY_URL') ??
          (consul ? `Consul at ${consul.current()?.httpAddress}` : 'fixed local addresses'),
        events: foreign('EVENTS_URL') ?? (nats ? `NATS JetStream at ${nats.current()?.url}` : 'PostgreSQL'),
        settings: foreign('CONFIG_URL') ?? `${settingsUrl(dataDir)}, live`,
        model: given('AGENT_MODEL_URL')
          ? `${given('AGENT_MODEL') ?? ''} at AGENT_MODEL_URL`
          : 'the built-in offline answerer (set AGENT_MODEL_URL for a language model)',
        telemetry:
          foreign('OTEL_EXPORTER_OTLP_ENDPOINT') ??
          (traces ? `traces at ${traces.url}` : 'off (set OTEL_EXPORTER_OTLP_ENDPOINT)'),
      };
    },
    abandon: () => {
      for (const one of processes.values()) one.kill('SIGKILL');
      // Consul and NATS end with this process. The database writes no checkpoint, and recovers at its next start.
      if (postgres?.pid !== undefined) process.kill(postgres.pid, 'SIGQUIT');
    },
  };
};
