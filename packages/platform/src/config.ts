import { staticDiscovery } from '@skein/discovery';
import { type ConfigOf, integer, live, oneOf, port, secret, text, url } from '@skein/service-kit';

/** A list or an address that cannot be read is a fault of the configuration, found before anything starts. */
const readableDiscovery = (text: string): string => {
  if (text.startsWith('static:')) staticDiscovery(text);
  else if (!URL.canParse(text) || new URL(text).hostname === '')
    throw new TypeError('must be consul://host:port');
  return text;
};
const discoveryUrl = url(
  'How services are found: static:auth=host:port;host:port,user=… or consul://host:port[/name]',
  {
    schemes: ['static:', 'consul:'],
  },
);

/** The settings every service has: spread into its own schema. */
export const platformConfig = {
  DATABASE_URL: url('The Postgres database all services share, each in a schema of its own', {
    schemes: ['postgres:', 'postgresql:'],
  }),
  DATABASE_DIRECT_URL: url(
    'The same database past a pooler, for migrations, when DATABASE_URL goes through one; empty: there is none',
    { schemes: ['postgres:', 'postgresql:'], fallback: '' },
  ),
  DATABASE_POOL_SIZE: integer('Connections to the database this process may hold', {
    min: 1,
    max: 100,
    fallback: 4,
  }),
  EVENTS_URL: url('Where domain events go: postgres: for tables of the database, or a NATS server', {
    schemes: ['postgres:', 'nats:', 'tls:'],
    fallback: 'postgres:',
  }),
  DISCOVERY_URL: { ...discoveryUrl, parse: (given: string) => readableDiscovery(discoveryUrl.parse(given)) },
  DISCOVERY_ADDRESS: text('The host other services reach this one at; empty: the address it binds to', {
    fallback: '',
  }),
  DISCOVERY_AUTHORITY_TEMPLATE: text(
    'The :authority of calls, with {service} in it, for a mesh that routes by it; empty: the target',
    { fallback: '' },
  ),
  CONFIG_URL: url(
    'The config centre, for the settings marked live: file:/path or consul://host:port[/folder]; empty: none',
    { schemes: ['file:', 'consul:'], fallback: '' },
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: text('OTLP/HTTP endpoint for traces; empty: nothing is exported', {
    fallback: '',
  }),
  LOG_LEVEL: live(
    oneOf('How much is logged', {
      values: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
      fallback: 'info',
    }),
  ),
  INSTANCE_ID: text('Name of this process among its replicas; empty: <service>-<random>', { fallback: '' }),
  GRPC_HOST: text('Address gRPC binds to; anything but loopback belongs inside a protected network', {
    fallback: '127.0.0.1',
  }),
  GRPC_PORT: port('Port gRPC listens on', { fallback: 0 }),
  MANAGEMENT_HOST: text('Address of health checks and metrics', { fallback: '127.0.0.1' }),
  MANAGEMENT_PORT: port('Port of /healthz, /readyz and /metrics', { fallback: 0 }),
  INTERNAL_SECRET: secret('Signs calls between services; the same for all of them'),
  INTERNAL_SECRET_ALSO: secret(
    'Accepted beside INTERNAL_SECRET while that is being changed; empty: no other',
    { fallback: '' },
  ),
};

/** The values of `platformConfig`. */
export type PlatformConfig = ConfigOf<typeof platformConfig>;
