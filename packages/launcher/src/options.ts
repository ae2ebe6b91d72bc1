import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type PortPlan, plannedPorts } from './ports.ts';

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

/** What `--help` prints. */
export const help = `Skein on this machine: five services, their database and the web page.

  npm start                 everything embedded: nothing else is needed
  npm start -- --mesh       real Consul and NATS JetStream, a trace endpoint, two instances of every service

Options
  --mesh                    as above
  --port N                  public port [8002, or PORT]; the second gateway of --mesh is ten above
  --grpc-port N             first of the services' own ports, and those of Consul and NATS [8100]; loopback only
  --management-port N       first of the health and metrics ports [9464]; loopback only
  --data-dir DIR            database, stores and secrets [$SKEIN_DATA_DIR, else ~/.local/share/skein, as root /var/lib/skein]
  --json                    one JSON object a line: what happens, what the services log, and at the end where it is
  --help                    this page

Environment (the services get it too: "npx node services/<name>/src/main.ts --help" lists their settings)
  HOST                      address of the public port [127.0.0.1]
  DATABASE_URL              postgres://… instead of the embedded database
  DISCOVERY_URL             consul://host:port instead of fixed local addresses
  EVENTS_URL                nats://host:port instead of the Postgres bus
  OTEL_EXPORTER_OTLP_ENDPOINT   where traces go
  AGENT_MODEL_URL, AGENT_MODEL, AGENT_MODEL_KEY   an OpenAI-compatible endpoint or Ollama, its model and its key
  CONFIG_URL                consul://host:port or another file instead of config.yaml in the data directory
  LOG_LEVEL                 trace, debug, info, warn, error [what config.yaml says: warn, with --json info, at first]
  CORS_ORIGINS              web origins that may call the public API, comma-separated
  NO_COLOR                  no colours

Exit codes: 0 after Ctrl-C, 64 wrong command line, 69 something is in use or did not start, 78 wrong setting.
`;

const highestPort = 65_535;

const portOf = (name: string, text: string | undefined, fallback: number): number => {
  if (!text) return fallback;
  const port = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(port >= 1 && port <= highestPort))
    throw new UsageError(`${name} must be a port from 1 to ${highestPort}, not ${JSON.stringify(text)}`);
  return port;
};

/** No two services on one port, and none beyond the last one. */
const checkRanges = (plan: PortPlan, mesh: boolean): void => {
  const taken = new Map<number, string>();
  for (const { port, what, option } of plannedPorts(plan, mesh)) {
    const other = taken.get(port);
    if (port > highestPort) throw new UsageError(`${option} is too high: ${what} would be at port ${port}`);
    if (other)
      throw new UsageError(`${other} and ${what} would both be at port ${port}: choose another ${option}`);
    taken.set(port, what);
  }
};

const definitions = {
  mesh: { type: 'boolean', default: false },
  port: { type: 'string' },
  'grpc-port': { type: 'string' },
  'management-port': { type: 'string' },
  'data-dir': { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

const parse = (args: readonly string[]) => {
  try {
    return parseArgs({ args: [...args], options: definitions }).values;
  } catch (error) {
    // Its second sentence explains "--" to people who want something else.
    const [first] = String(error instanceof Error ? error.message : error).split('. ');
    throw new UsageError(`${first} (see --help)`);
  }
};

/** Reads the command line over the environment. Throws a UsageError with one sentence. */
export const readOptions = (
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): LauncherOptions => {
  const values = parse(args);
  // As root the database runs as another user, who cannot enter root's home.
  const standard =
    process.getuid?.() === 0
      ? '/var/lib/skein'
      : join(env['XDG_DATA_HOME'] || join(homedir(), '.local/share'), 'skein');
  const plan: PortPlan = {
    port: values.port ? portOf('--port', values.port, 0) : portOf('PORT', env['PORT'], 8002),
    grpcPort: portOf('--grpc-port', values['grpc-port'], 8100),
    managementPort: portOf('--management-port', values['management-port'], 9464),
  };
  checkRanges(plan, values.mesh);
  return {
    ...plan,
    mesh: values.mesh,
    json: values.json,
    help: values.help,
    dataDir: resolve(values['data-dir'] || env['SKEIN_DATA_DIR'] || standard),
  };
};
