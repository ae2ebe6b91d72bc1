import type { Logger } from '@skein/telemetry';
import { ConfigError, type ConfigOf, type ConfigSchema, describeConfig, readConfig } from './config.ts';
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

/** sysexits.h: a wrong configuration, and a part that is not there. */
const exitConfig = 78;
const exitUnavailable = 69;

/**
 * Reads the environment, composes, runs until SIGINT or SIGTERM (or until the parent's IPC channel closes),
 * then drains and stops. Exit codes: 0 after a clean stop, 78 for a wrong configuration (every fault listed
 * on stderr), 69 when a part could not start, 70 for a bug. A second signal ends the process at once.
 */
export const runService = async <S extends ConfigSchema>(options: RunServiceOptions<S>): Promise<void> => {
  process.title = `skein-${options.name}`;
  if (process.argv.includes('--help')) {
    process.stdout.write(`skein ${options.name}\n\nEnvironment:\n${describeConfig(options.config)}\n`);
    return;
  }
  let composed: Composed;
  try {
    composed = await options.compose(readConfig(options.config, process.env));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = exitConfig;
    // The channel to a supervisor would keep the process alive.
    if (process.connected) process.disconnect();
    return;
  }
  const { service, log } = composed;

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
