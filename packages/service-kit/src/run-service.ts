import { parseArgs } from 'node:util';
import type { Logger } from '@skein/telemetry';
import { ConfigError, type ConfigOf, type ConfigSchema, describeConfig } from './config.ts';
import { readConfig } from './read-config.ts';
import type { Service } from './service.ts';

/** A service as its `compose.ts` makes it: the parts and where to write what happens. */
export interface Composed {
  readonly service: Service;
  readonly log: Logger;
}

/** What a `main.ts` says. */
export interface RunServiceOptions<S extends ConfigSchema> {
  /** Also the process title: `skein-<name>`. */
  readonly name: string;
  readonly config: S;
  readonly compose: (config: ConfigOf<S>) => Promise<Composed> | Composed;
}

/** sysexits.h: a wrong command line, a wrong configuration, and a part that is not there. */
const exitUsage = 64;
const exitConfig = 78;
const exitUnavailable = 69;

const usage = `Usage: main [--check [--wait SECONDS] [--hint TEXT]] [--help]

  --check   start nothing; say whether what the service needs is there and fits this version, and end
  --wait    how long that may take [10]
  --hint    said after a fault, such as where the settings come from
`;

const flags = {
  help: { type: 'boolean', default: false },
  check: { type: 'boolean', default: false },
  wait: { type: 'string', default: '10' },
  hint: { type: 'string', default: '' },
} as const;

/** The command line, or what is wrong with it. */
const readFlags = () => {
  try {
    const { values } = parseArgs({ options: flags, strict: true });
    if (!/^\d{1,4}$/.test(values.wait)) return '--wait must be a whole number of seconds';
    return values;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

/** Lines of a check, each with the name of the service: a Job shows those of all services together. */
const sayLines = (to: NodeJS.WriteStream, name: string, lines: string): void => {
  for (const line of lines.split('\n')) if (line.trim() !== '') to.write(`${name}: ${line}\n`);
};

/** Says what the check of all parts finds; true when nothing stands against a start. */
const checkParts = async (name: string, { service, log }: Composed, waitMs: number): Promise<boolean> => {
  try {
    sayLines(process.stdout, name, (await service.check?.(waitMs)) || 'needs nothing');
    return true;
  } catch (error) {
    sayLines(process.stderr, name, error instanceof Error ? error.message : String(error));
    return false;
  } finally {
    log.flush();
  }
};

/**
 * Reads the environment, composes, runs until SIGINT or SIGTERM (or until the parent's IPC channel closes),
 * then drains and stops. Exit codes: 0 after a clean stop, 78 for a wrong configuration (every fault listed
 * on stderr), 69 when a part could not start, 70 for a bug, 64 for a wrong command line. A second signal ends the
 * process at once. With `--check` it runs nothing, says what stands against a start, and ends with 0, 69 or 78.
 */
export const runService = async <S extends ConfigSchema>(options: RunServiceOptions<S>): Promise<void> => {
  process.title = `skein-${options.name}`;
  const given = readFlags();
  if (typeof given === 'string') {
    process.stderr.write(`${given}\n\n${usage}`);
    process.exitCode = exitUsage;
    return;
  }
  if (given.help) {
    process.stdout.write(
      `skein ${options.name}\n\n${usage}\nEnvironment:\n${describeConfig(options.config)}\n`,
    );
    return;
  }
  let composed: Composed;
  try {
    composed = await options.compose(readConfig(options.config, process.env));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    if (given.check) sayLines(process.stderr, options.name, `${error.message}\n${given.hint}`);
    else process.stderr.write(`${error.message}\n`);
    process.exitCode = exitConfig;
    // The channel to a supervisor would keep the process alive.
    if (process.connected) process.disconnect();
    return;
  }
  const { service, log } = composed;
  if (given.check) {
    const fits = await checkParts(options.name, composed, Number(given.wait) * 1_000);
    if (!fits) sayLines(process.stderr, options.name, given.hint);
    // What was composed may have opened something that would keep the process alive.
    process.exit(fits ? 0 : exitUnavailable);
  }

  let stopping = false;
  const stop = async (reason: string, code: number) => {
    if (stopping) process.exit(code || 1);
    stopping = true;
    log.info({ reason }, 'stopping');
    await service.drain?.();
    await service.stop();
    log.info('stopped');
    log.flush();
    process.exit(code);
  };
  const stopFor = (reason: string, code: number) => {
    stop(reason, code).catch((error: unknown) => {
      log.error({ err: error }, 'could not stop');
      process.exit(70);
    });
  };
  process.on('SIGTERM', () => stopFor('SIGTERM', 0));
  process.on('SIGINT', () => stopFor('SIGINT', 0));
  // A supervisor that dies without a signal closes the channel: nobody would be left to stop us.
  if (process.connected) process.on('disconnect', () => stopFor('the supervisor is gone', 0));
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error) => {
      log.fatal({ err: error }, event);
      log.flush();
      process.exit(70);
    });
  }
  try {
    await service.run();
  } catch (error) {
    if (stopping) return;
    log.fatal({ err: error }, error instanceof Error ? error.message : 'could not start');
    log.flush();
    process.exit(exitUnavailable);
  }
  log.info('ready');
  process.send?.({ type: 'ready' });
};
