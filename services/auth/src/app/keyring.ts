import { AppError } from '@skein/contracts';
import { type Clock, must, type Service } from '@skein/service-kit';
import type { Logger } from '@skein/telemetry';
import { missingKeys, publishedKeys, signingKey } from '../domain/key-schedule.ts';
import type { Keys, StoredKey, TokenSigner } from './ports.ts';

/** How keys are made, opened and used. */
export interface KeyCraft {
  /** A new pair: its id (RFC 7638 thumbprint), its public half, and its private half sealed for that id. */
  create(): Pick<StoredKey, 'kid' | 'publicJwk' | 'sealedPrivate'>;
  /** A function that signs with a stored key. Throws when the master key does not open it. */
  open(key: StoredKey): SignWith;
}

/** Signs claims under a JOSE `typ`. */
export type SignWith = (typ: string, claims: Readonly<Record<string, unknown>>) => Promise<string>;

interface Deps {
  readonly keys: Keys;
  readonly craft: KeyCraft;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The signing keys of this process: kept up to date with those of all replicas. */
export interface Keyring extends Service, TokenSigner {
  /** The keys to publish, as a JSON Web Key Set. Fresh from the database; the last known ones while it is away. */
  jwks(): Promise<string>;
  /** Reads the keys again and makes what is missing; to be called every minute. */
  renew(): Promise<void>;
}

/**
 * Keeps the keys of all replicas the same: they are rows, made by whoever finds one missing while it holds a
 * lock. A day passes between a key's publication and its first use, so no verifier meets an unknown one.
 */
export const keyring = ({ keys, craft, clock, log }: Deps): Keyring => {
  let stored: readonly StoredKey[] = [];
  const opened = new Map<string, SignWith>();

  const adopt = (rows: readonly StoredKey[]): void => {
    for (const key of rows) if (!opened.has(key.kid)) opened.set(key.kid, craft.open(key));
    for (const kid of opened.keys()) if (!rows.some((row) => row.kid === kid)) opened.delete(kid);
    stored = rows;
  };

  const renew = async (): Promise<void> => {
    const nowMs = clock.now();
    let rows = await keys.all();
    if (missingKeys(rows, nowMs).length > 0) {
      rows = await keys.complete((present) =>
        missingKeys(present, nowMs).map((times) => ({ ...times, ...craft.create() })),
      );
      log.info({ keys: rows.map(({ kid }) => kid) }, 'signing keys were added');
    }
    adopt(rows);
  };

  const current = (): StoredKey =>
    must(signingKey(stored, clock.now()), 'tokens are signed before the keyring runs');

  return {
    id: 'keyring',
    run: renew,
    stop: async () => {},
    renew,
    get kid() {
      return current().kid;
    },
    sign: (typ, claims, kid) => {
      // A key asked for may be gone by now; what matters then is that the token verifies.
      const sign = (kid === undefined ? undefined : opened.get(kid)) ?? opened.get(current().kid);
      return must(sign, 'a stored key was not opened')(typ, claims);
    },
    jwks: async () => {
      let rows = stored;
      try {
        rows = await keys.all();
      } catch (error) {
        if (rows.length === 0) throw new AppError('unavailable', undefined, { cause: error });
        log.warn({ err: error }, 'publishing the keys last read: the database is away');
      }
      return JSON.stringify({ keys: publishedKeys(rows, clock.now()).map(({ publicJwk }) => publicJwk) });
    },
  };
};
