import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ConsulAgent, NatsServer } from '@skein/components';
import { type EmbeddedPostgres, embeddedPostgres } from '@skein/postgres';
import { lifecycle, type Service } from '@skein/service-kit';
import { keptComponent } from './kept-component.ts';
import { keptPostgres } from './kept-postgres.ts';
import { assertFree, type PortPlan, portsOf, type ServiceName, serviceNames } from './ports.ts';
import { loadSecrets, type Secrets } from './secrets.ts';
import { takeDataDir } from './single-copy.ts';
import { type ProcessEvent, type SupervisedProcess, supervise } from './supervised-process.ts';
import { type TraceSink, traceSink } from './trace-sink.ts';

/** What a local mesh is made of. */
export interface LocalMeshOptions extends PortPlan {
  /** Database, stores, secrets and the lock of this copy. */
  readonly dataDir: string;
  /** Real Consul, NATS JetStream and a trace endpoint, two instances of every service. */
  readonly mesh: boolean;
  /** The environment of the services is this plus what the launcher decides; what is set here wins for the URLs. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Told what happens, line by line. */
  readonly told: (name: string, event: ProcessEvent) => void;
}

/** A running mesh on this machine. */
export interface LocalMesh extends Service {
  /** Where people and apps connect. */
  readonly url: string;
  readonly secrets: Secrets;
  /** `auth` or, with several instances, `auth.1`, `auth.2`. */
  readonly processes: ReadonlyMap<string, SupervisedProcess>;
  readonly postgres: EmbeddedPostgres | undefined;
  readonly consul: (() => ConsulAgent | undefined) | undefined;
  readonly nats: (() => NatsServer | undefined) | undefined;
  readonly traces: TraceSink | undefined;
  /** Takes a component away and brings it back at the same address. */
  readonly drills: {
    pause(component: 'consul' | 'nats'): Promise<void>;
    resume(component: 'consul' | 'nats'): Promise<void>;
  };
  /** What each part is, for people: discovery, events, database, model, telemetry. */
  readonly uses: Readonly<Record<string, string>>;
}

const root = fileURLToPath(new URL('../../../', import.meta.url));
const readyTimeoutMs = 60_000;
/** Longer than a service's own drain (10 s) and stops. */
const stopTimeoutMs = 20_000;

/** Users face the gateway: it stops first. The database's owners stop after those who call them. */
const startOrder: readonly ServiceName[] = ['auth', 'user', 'session-sync', 'agent', 'gateway'];

/** Passed on from the surroundings: nothing else of the machine's environment reaches a service. */
const passedOn = ['PATH', 'HOME', 'LANG', 'TZ', 'NODE_OPTIONS', 'NODE_EXTRA_CA_CERTS', 'TMPDIR'];
const passedOnPrefixes = [
  'SKEIN_',
  'AGENT_',
  'OTEL_',
  'CORS_',
  'LOG_',
  'GATEWAY_',
  'AUTH_',
  'SYNC_',
  'OPENAI_',
  'OLLAMA_',
];

const inherited = (env: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(env).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined &&
        (passedOn.includes(entry[0]) || passedOnPrefixes.some((prefix) => entry[0].startsWith(prefix))),
    ),
  );

/** All parts at once: independent processes need not wait for each other. Stopped in reverse, one by one. */
const together = (id: string, parts: readonly Service[]): Service => ({
  id,
  run: async () => {
    await Promise.all(parts.map((part) => part.run()));
  },
  stop: async () => {
    for (const part of [...parts].reverse()) await part.stop();
  },
});

/**
 * Composes the whole mesh on this machine: the database (and Consul, NATS, traces), then the five services as
 * processes of their own. `run` resolves when every service said that it is ready; `stop` drains the gateway
 * first and the database last, and leaves no process behind.
 */
export const localMesh = (options: LocalMeshOptions): LocalMesh => {
  const { dataDir, mesh, env } = options;
  mkdirSync(dataDir, { recursive: true });
  const release = takeDataDir(dataDir);
  const secrets = loadSecrets(dataDir);
  const instances = mesh ? 2 : 1;
  const poolSize = Number(env['DATABASE_POOL_SIZE'] ?? 4);

  const postgres = env['DATABASE_URL']?.startsWith('postgres')
    ? undefined
    : embeddedPostgres({
        dataDir: join(dataDir, 'postgres'),
        // Every pool, a handful for people, and what replication of a pool during a restart needs.
        maxConnections: poolSize * serviceNames.length * instances + 20,
      });
  const database =
    postgres && keptPostgres(postgres, (line) => options.told('postgres', { kind: 'line', line }));
  const consul =
    mesh && !env['DISCOVERY_URL']
      ? keptComponent<ConsulAgent>(
          'consul',
          async (previous) => {
            const { startConsul } = await import('@skein/components');
            return startConsul({ ...(previous ? { ports: previous.ports } : {}) });
          },
          (line) => options.told('consul', { kind: 'line', line }),
        )
      : undefined;
  const nats =
    mesh && !env['EVENTS_URL']
      ? keptComponent<NatsServer>(
          'nats',
          async (previous) => {
            const { startNats } = await import('@skein/components');
            return startNats({
              storeDir: join(dataDir, 'nats'),
              ...(previous ? { ports: previous.ports } : {}),
            });
          },
          (line) => options.told('nats', { kind: 'line', line }),
        )
      : undefined;
  const traces = mesh && !env['OTEL_EXPORTER_OTLP_ENDPOINT'] ? traceSink(0) : undefined;

  const staticDiscovery = `static:${serviceNames
    .filter((name) => name !== 'gateway')
    .map((name) => {
      const addresses = Array.from(
        { length: instances },
        (_, at) => `127.0.0.1:${portsOf(options, name, at).grpc}`,
      );
      return `${name}=${addresses.join(';')}`;
    })
    .join(',')}`;

  const serviceEnv = (name: ServiceName, at: number, instance: string): Record<string, string> => {
    const ports = portsOf(options, name, at);
    return {
      ...inherited(env),
      NODE_COMPILE_CACHE: env['NODE_COMPILE_CACHE'] ?? join(dataDir, 'compile-cache'),
      INSTANCE_ID: instance,
      LOG_LEVEL: env['LOG_LEVEL'] ?? 'info',
      DATABASE_URL: postgres?.url ?? env['DATABASE_URL'] ?? '',
      DATABASE_POOL_SIZE: String(poolSize),
      DISCOVERY_URL:
        env['DISCOVERY_URL'] ??
        consul?.current()?.httpAddress.replace(/^http:/, 'consul:') ??
        staticDiscovery,
      EVENTS_URL: env['EVENTS_URL'] ?? nats?.current()?.url ?? 'postgres:',
      OTEL_EXPORTER_OTLP_ENDPOINT: env['OTEL_EXPORTER_OTLP_ENDPOINT'] ?? traces?.url ?? '',
      ...(traces ? { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' } : {}),
      INTERNAL_SECRET: secrets.internalSecret,
      GRPC_HOST: '127.0.0.1',
      GRPC_PORT: String(ports.grpc),
      MANAGEMENT_HOST: '127.0.0.1',
      MANAGEMENT_PORT: String(ports.management),
      ...(name === 'auth' ? { AUTH_MASTER_KEY: secrets.authMasterKey } : {}),
      ...(name === 'gateway'
        ? {
            HOST: env['HOST'] ?? '127.0.0.1',
            PORT: String(ports.public),
            CONSOLE_DIR: join(root, 'packages/console/dist'),
          }
        : {}),
    };
  };

  const processes = new Map<string, SupervisedProcess>();
  const made = startOrder.flatMap((name) =>
    Array.from({ length: instances }, (_, at) => {
      const instance = instances === 1 ? name : `${name}.${at + 1}`;
      const one = supervise(
        {
          name: instance,
          command: process.execPath,
          args: [join(root, 'services', name, 'src/main.ts')],
          // Read at each start: the addresses of the components are known only once they run.
          env: () => serviceEnv(name, at, instance),
          readyTimeoutMs,
          stopTimeoutMs,
        },
        (event) => options.told(instance, event),
      );
      processes.set(instance, one);
      return one;
    }),
  );

  const assertPortsFree: Service = {
    id: 'ports',
    run: async () => {
      for (const name of serviceNames) {
        for (let at = 0; at < instances; at += 1) {
          const ports = portsOf(options, name, at);
          if (name === 'gateway')
            await assertFree(ports.public, env['HOST'] ?? '127.0.0.1', 'the public address', '--port');
          await assertFree(ports.grpc, '127.0.0.1', `gRPC of ${name}`, '--grpc-port');
          await assertFree(ports.management, '127.0.0.1', `management of ${name}`, '--management-port');
        }
      }
    },
    stop: async () => {},
  };

  const parts: Service[] = [
    { id: dirname(dataDir), run: async () => {}, stop: async () => release() },
    assertPortsFree,
    together(
      'components',
      [database, consul, nats, traces].filter((part) => part !== undefined),
    ),
    together('services', made),
  ];
  const whole = lifecycle('local-mesh', parts, {
    stopTimeoutMs: stopTimeoutMs * made.length,
    onError: (part, error) => options.told(part, { kind: 'line', line: String(error) }),
  });

  return {
    id: whole.id,
    run: whole.run,
    stop: whole.stop,
    url: `http://127.0.0.1:${options.port}`,
    secrets,
    processes,
    postgres,
    consul: consul?.current,
    nats: nats?.current,
    traces,
    drills: {
      pause: async (component) => (component === 'consul' ? consul : nats)?.pause(),
      resume: async (component) => (component === 'consul' ? consul : nats)?.resume(),
    },
    get uses() {
      return {
        database: postgres ? `embedded Postgres in ${join(dataDir, 'postgres')}` : 'Postgres at DATABASE_URL',
        discovery: env['DISCOVERY_URL']
          ? 'DISCOVERY_URL'
          : consul
            ? `Consul at ${consul.current()?.httpAddress}`
            : 'fixed local addresses',
        events: env['EVENTS_URL']
          ? 'EVENTS_URL'
          : nats
            ? `NATS JetStream at ${nats.current()?.url}`
            : 'Postgres',
        model: env['AGENT_MODEL_URL']
          ? `${env['AGENT_MODEL'] ?? ''} at AGENT_MODEL_URL`
          : 'the built-in offline answerer (set AGENT_MODEL_URL for a language model)',
        telemetry: env['OTEL_EXPORTER_OTLP_ENDPOINT']
          ? 'OTEL_EXPORTER_OTLP_ENDPOINT'
          : traces
            ? `traces at ${traces.url}`
            : 'off (set OTEL_EXPORTER_OTLP_ENDPOINT)',
      };
    },
  };
};
