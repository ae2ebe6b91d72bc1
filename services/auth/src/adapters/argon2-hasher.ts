import { type Algorithm, hash, verify } from '@node-rs/argon2';
import type { PasswordHasher } from '../app/ports.ts';

/** Cost of one hash (RFC 9106). */
export interface Argon2Cost {
  readonly memoryKib: number;
  readonly passes: number;
  readonly lanes: number;
}

// `Algorithm` is a const enum, which type stripping cannot inline.
const argon2id = 2 as Algorithm.Argon2id;

/** Argon2id in PHC strings, with a random salt each, computed off the main thread. */
export const argon2Hasher = ({ memoryKib, passes, lanes }: Argon2Cost): PasswordHasher => {
  const options = { algorithm: argon2id, memoryCost: memoryKib, timeCost: passes, parallelism: lanes };
  const settings = `$argon2id$v=19$m=${memoryKib},t=${passes},p=${lanes}$`;
  return {
    hash: (password) => hash(password, options),
    verify: (stored, password) => verify(stored, password),
    outdated: (stored) => !stored.startsWith(settings),
  };
};
