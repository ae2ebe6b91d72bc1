import { createServer } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import type { Composed, ConfigSchema, readConfig } from '@skein/service-kit';
import { readConfig as configOf } from '@skein/service-kit';
import { createLogger } from '@skein/telemetry';

/** What they know each other by. */
export const secret = 'a secret for tests, long enough to be one';

/** Says nothing. */
export const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });

/** How a worker waits before it looks again, which takes as good as no time here. */
export const shortPause = (_ms: number, signal?: AbortSignal): Promise<void> =>
  setTimeout(10, undefined, { signal });

/** A port nobody listens on. */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });

/** A service of a mesh within this process. */
export interface Member {
  readonly name: string;
  start(env: Readonly<Record<string, string>>): Promise<Composed>;
}

/** A service by its configuration and its `compose`. */
export const member = <S extends ConfigSchema>(
  name: string,
  schema: S,
  compose: (config: ReturnType<typeof readConfig<S>>) => Promise<Composed>,
  env: Readonly<Record<string, string>> = {},
): Member => ({ name, start: (shared) => compose(configOf(schema, { ...shared, ...env })) });

/** Services that find each other, on one database; those that are not started are not there. */
export const startServices = async (
  databaseUrl: string,
  members: readonly Member[],
  absent: readonly string[],
) => {
  const ports = new Map<string, number>();
  for (const { name } of members) ports.set(name, await freePort());
  for (const name of absent) ports.set(name, 1);
  const list = [...ports].map(([name, port]) => `${name}=127.0.0.1:${port}`).join(',');
  const services = await Promise.all(
    members.map(async ({ name, start }) => {
      const { service } = await start({
        DATABASE_URL: databaseUrl,
        DISCOVERY_URL: `static:${list}`,
        INTERNAL_SECRET: secret,
        LOG_LEVEL: 'silent',
        GRPC_PORT: String(ports.get(name)),
      });
      await service.run();
      return service;
    }),
  );
  return {
    /** Where one listens. */
    target: (name: string) => `127.0.0.1:${ports.get(name)}`,
    stop: async () => {
      for (const service of services.reverse()) {
        await service.drain?.();
        await service.stop();
      }
    },
  };
};
