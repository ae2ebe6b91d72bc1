import { join } from 'node:path';
import { type PortPlan, portsOf, type ServiceName, serviceNames } from './ports.ts';
import type { Secrets } from './secrets.ts';
import { settingsUrl } from './settings-file.ts';

/** An environment as the launcher was given it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What an instance is told about its surroundings, beside what the launcher's own environment says. */
export interface Surroundings extends PortPlan {
  readonly env: Environment;
  readonly instances: number;
  readonly dataDir: string;
  readonly consoleDir: string;
  readonly secrets: Secrets;
  readonly databaseUrl: string;
  /** Undefined: fixed local addresses. */
  readonly discoveryUrl: string | undefined;
  readonly eventsUrl: string;
  /** Undefined: no traces. `json` for a collector that reads nothing else. */
  readonly traces: { readonly url: string; readonly json: boolean } | undefined;
}

/** Settings that one service alone may see. */
const ownPrefix: Readonly<Partial<Record<ServiceName, string>>> = {
  agent: 'AGENT_',
  auth: 'AUTH_MASTER_',
  user: 'MAIL_',
};

/** What npm tells its scripts, and a launcher's own channel: nobody further down needs them. */
const dropped = /^(npm_|NODE_CHANNEL_)/;

/** Keeps nothing, so it is not told where the others do. */
const withoutDatabase: readonly ServiceName[] = ['gateway'];

const inherited = (env: Environment, name: ServiceName): Record<string, string> => {
  const others = Object.entries(ownPrefix).flatMap(([service, prefix]) => (service === name ? [] : [prefix]));
  return Object.fromEntries(
    Object.entries(env).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined &&
        !dropped.test(entry[0]) &&
        !(withoutDatabase.includes(name) && entry[0] === 'DATABASE_URL') &&
        !others.some((prefix) => entry[0].startsWith(prefix)),
    ),
  );
};

/** `static:auth=127.0.0.1:8101;127.0.0.1:8111,…`: every instance of every service that others call. */
export const staticDiscovery = (plan: PortPlan, instances: number): string => {
  const services = serviceNames.filter((name) => name !== 'gateway');
  const addresses = (name: ServiceName) =>
    Array.from({ length: instances }, (_, at) => `127.0.0.1:${portsOf(plan, name, at).grpc}`).join(';');
  return `static:${services.map((name) => `${name}=${addresses(name)}`).join(',')}`;
};

/** The whole environment of one instance (from 0) of a service: ours over what the launcher was given. */
export const serviceEnv = (
  around: Surroundings,
  name: ServiceName,
  at: number,
  instance: string,
): Record<string, string> => {
  const { env, secrets } = around;
  const ports = portsOf(around, name, at);
  return {
    ...inherited(env, name),
    NODE_COMPILE_CACHE: env['NODE_COMPILE_CACHE'] || join(around.dataDir, 'compile-cache'),
    INSTANCE_ID: instance,
    CONFIG_URL: env['CONFIG_URL'] || settingsUrl(around.dataDir),
    ...(withoutDatabase.includes(name) ? {} : { DATABASE_URL: around.databaseUrl }),
    DISCOVERY_URL: around.discoveryUrl ?? staticDiscovery(around, around.instances),
    EVENTS_URL: around.eventsUrl,
    OTEL_EXPORTER_OTLP_ENDPOINT: around.traces?.url ?? '',
    ...(around.traces?.json ? { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' } : {}),
    INTERNAL_SECRET: secrets.internalSecret,
    GRPC_HOST: '127.0.0.1',
    GRPC_PORT: String(ports.grpc),
    MANAGEMENT_HOST: '127.0.0.1',
    MANAGEMENT_PORT: String(ports.management),
    ...(name === 'auth' ? { AUTH_MASTER_KEY: env['AUTH_MASTER_KEY'] || secrets.authMasterKey } : {}),
    ...(name === 'gateway'
      ? {
          HOST: env['HOST'] || '127.0.0.1',
          PORT: String(ports.public),
          CONSOLE_DIR: env['CONSOLE_DIR'] || around.consoleDir,
        }
      : {}),
  };
};
