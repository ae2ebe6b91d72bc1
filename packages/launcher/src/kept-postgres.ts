import type { EmbeddedPostgres } from '@skein/postgres';
import { endWithLauncher } from './end-with-launcher.ts';
import { type KeptComponent, keptComponent } from './kept-component.ts';

interface Life {
  readonly exited: Promise<void>;
  stop(): Promise<void>;
}

/** The embedded database, started again when it dies; services wait and go on by themselves. It ends with us. */
export const keptPostgres = (
  postgres: EmbeddedPostgres,
  told: (line: string) => void,
): KeptComponent<Life> => {
  const start = async (): Promise<Life> => {
    const { promise: exited, resolve } = Promise.withResolvers<void>();
    const unsubscribe = postgres.onExit(() => {
      unsubscribe();
      resolve();
    });
    try {
      await postgres.run();
    } catch (error) {
      unsubscribe();
      throw error;
    }
    if (postgres.pid !== undefined) {
      const callOff = endWithLauncher(postgres.pid);
      void exited.then(callOff);
    }
    return { exited, stop: () => postgres.stop() };
  };
  const kept = keptComponent('postgres', start, told);
  return {
    ...kept,
    stop: async () => {
      await kept.stop();
      // A server that came up, but whose database could not be made, was no life yet.
      await postgres.stop();
    },
  };
};
