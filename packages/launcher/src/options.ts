import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { PortPlan } from './ports.ts';

/** What the command line said. */
export interface LauncherOptions extends PortPlan {
  readonly mesh: boolean;
  readonly dataDir: string;
  readonly json: boolean;
  readonly help: boolean;
}

/** The command line cannot be used; the message says what would be right. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const help = `Skein on this machine: five services, their database and the web page.

  npm start                 everything embedded: nothing else is needed
  npm start -- --mesh       real Consul and NATS JetStream, a trace endpoint, two instances of every service

Options
  --mesh                    as above
  --port N                  public port [8002, or PORT]; the second gateway of --mesh is ten above
  --grpc-port N             first of the services' own ports [8100]; loopback only
  --management-port N       first of the health and metrics ports [9464]; loopback only
  --data-dir DIR            database, stores and secrets [$SKEIN_DATA_DIR, else ~/.local/share/skein, as root /var/lib/skein]
  --json                    log lines as the services write them, and what is printed at the end as JSON
  --help                    this page

Environment
  DATABASE_URL              postgres://… instead of the embedded database
  DISCOVERY_URL             consul://host:port instead of fixed local addresses
  EVENTS_URL                nats://host:port instead of the Postgres bus
  OTEL_EXPORTER_OTLP_ENDPOINT   where traces go
  AGENT_MODEL_URL, AGENT_MODEL, AGENT_MODEL_KEY   an OpenAI-compatible endpoint or Ollama, its model and its key
  LOG_LEVEL                 trace, debug, info (default), warn, error
  CORS_ORIGINS              web origins that may call the public API, comma-separated
`;

const portOf = (name: string, text: string | undefined, fallback: number): number => {
  if (text === undefined) return fallback;
  const port = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  // The ranges reach 14 ports further up.
  if (!(port >= 1 && port <= 65_500))
    throw new UsageError(`--${name} must be a port from 1 to 65500, not ${text}`);
  return port;
};

/** Reads the command line over the environment. Throws a UsageError with one sentence. */
export const readOptions = (
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): LauncherOptions => {
  const parse = () => {
    try {
      return parseArgs({
        args: [...args],
        options: {
          mesh: { type: 'boolean', default: false },
          port: { type: 'string' },
          'grpc-port': { type: 'string' },
          'management-port': { type: 'string' },
          'data-dir': { type: 'string' },
          json: { type: 'boolean', default: false },
          help: { type: 'boolean', default: false },
        },
      }).values;
    } catch (error) {
      throw new UsageError(`${error instanceof Error ? error.message : String(error)} (see --help)`);
    }
  };
  const values = parse();
  // As root the database runs as another user, who cannot enter root's home.
  const standard =
    process.getuid?.() === 0
      ? '/var/lib/skein'
      : join(env['XDG_DATA_HOME'] || join(homedir(), '.local/share'), 'skein');
  return {
    mesh: values.mesh,
    json: values.json,
    help: values.help,
    port: portOf('port', values.port ?? env['PORT'], 8002),
    grpcPort: portOf('grpc-port', values['grpc-port'], 8100),
    managementPort: portOf('management-port', values['management-port'], 9464),
    dataDir: resolve(values['data-dir'] ?? env['SKEIN_DATA_DIR'] ?? standard),
  };
};
