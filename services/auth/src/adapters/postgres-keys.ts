import type { Database, Queryable } from '@skein/postgres';
import type { Keys, StoredKey } from '../app/ports.ts';

interface KeyRow {
  kid: string;
  public_jwk: Record<string, unknown>;
  sealed_private: Buffer;
  sign_from: Date;
  sign_until: Date;
  verify_until: Date;
}

const read = async (db: Queryable): Promise<StoredKey[]> => {
  const rows = await db.query<KeyRow>(
    'select kid, public_jwk, sealed_private, sign_from, sign_until, verify_until from signing_keys order by sign_from',
  );
  return rows.map((row) => ({
    kid: row.kid,
    publicJwk: row.public_jwk,
    sealedPrivate: row.sealed_private,
    signFromMs: row.sign_from.getTime(),
    signUntilMs: row.sign_until.getTime(),
    verifyUntilMs: row.verify_until.getTime(),
  }));
};

const keepUntil = async (db: Queryable, kid: string, untilMs: number): Promise<void> => {
  await db.query(
    'update signing_keys set verify_until = greatest(verify_until, $2) where kid = $1 and verify_until < $2',
    [kid, new Date(untilMs)],
  );
};

/** What concerns keys within somebody else's transaction. */
export const postgresKeysIn = (tx: Queryable): Pick<Keys, 'keepUntil'> => ({
  keepUntil: (kid, untilMs) => keepUntil(tx, kid, untilMs),
});

/** Signing keys as rows. The table is locked while some are added, so replicas that start at once make one. */
export const postgresKeys = (database: Database): Keys => ({
  all: () => read(database),
  complete: (make) =>
    database.transaction(async (tx) => {
      await tx.query('lock table signing_keys in share row exclusive mode');
      for (const key of make(await read(tx)))
        await tx.query(
          `insert into signing_keys (kid, public_jwk, sealed_private, sign_from, sign_until, verify_until)
           values ($1, $2, $3, $4, $5, $6)`,
          [
            ...[key.kid, JSON.stringify(key.publicJwk), key.sealedPrivate],
            ...[key.signFromMs, key.signUntilMs, key.verifyUntilMs].map((ms) => new Date(ms)),
          ],
        );
      return read(tx);
    }),
  keepUntil: (kid, untilMs) => keepUntil(database, kid, untilMs),
});
