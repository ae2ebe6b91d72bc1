import type { Service } from '@skein/service-kit';
import type { PasswordHasher } from './ports.ts';

/** The hash of a password nobody has: checking against it takes as long as against a real one. */
export interface DummyHash extends Service {
  get(): Promise<string>;
}

/** Made at start with today's settings, so that not even the first unknown address takes longer. */
export const dummyHash = (hasher: PasswordHasher, password: string): DummyHash => {
  let made: Promise<string> | undefined;
  const get = () => {
    made ??= hasher.hash(password);
    return made;
  };
  return {
    id: 'dummy-hash',
    get,
    run: async () => {
      await get();
    },
    stop: async () => {},
  };
};
