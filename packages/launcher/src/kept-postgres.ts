import type { EmbeddedPostgres } from '@skein/postgres';
import type { Service } from '@skein/service-kit';

/** Long enough for the children of a killed postmaster to let go of their shared memory. */
const restartDelayMs = 500;

/** The embedded database, started again when it dies; services wait and go on by themselves. */
export const keptPostgres = (postgres: EmbeddedPostgres, told: (line: string) => void): Service => {
  let wanted = false;
  let timer: NodeJS.Timeout | undefined;

  const again = () => {
    timer = setTimeout(() => {
      if (!wanted) return;
      postgres.run().then(
        () => told('runs again'),
        (error: unknown) => {
          told(`could not be started: ${String(error)}`);
          again();
        },
      );
    }, restartDelayMs);
  };
  postgres.onExit(({ expected }) => {
    if (expected || !wanted) return;
    told(`ended, starting it again in ${restartDelayMs} ms`);
    again();
  });
  return {
    id: postgres.id,
    run: async () => {
      await postgres.run();
      wanted = true;
    },
    stop: async () => {
      wanted = false;
      clearTimeout(timer);
      await postgres.stop();
    },
  };
};
