import { AppError, domainEvents } from '@skein/contracts';
import { outbox } from '@skein/events';
import { type Database, isUniqueViolation, type Tx } from '@skein/postgres';
import { participant } from '@skein/saga';
import { currentTraceparent } from '@skein/telemetry';
import { unknownCode } from '../app/identities.ts';
import type { LinkingInput } from '../app/link-identity.ts';
import type { Identities, Linking, PlatformAccount } from '../app/ports.ts';

/** What the adapter needs beside the schema. */
export interface IdentitiesOptions {
  readonly database: Database;
  readonly newId: () => string;
  /** Starts the saga if the transaction commits. */
  readonly start: (
    tx: Tx,
    input: LinkingInput,
    options: { readonly correlationId: string; readonly key: string | undefined },
  ) => Promise<Linking>;
  /** Told after each commit: there is a saga, or an event. */
  readonly started: () => void;
  readonly published: () => void;
}

interface CodeRow extends Record<string, unknown> {
  readonly id: string;
  readonly user_id: string | null;
  readonly platform: string | null;
  readonly account: string | null;
  readonly name: string | null;
}

const complete = (row: CodeRow): { userId: string } & PlatformAccount => {
  const { user_id: userId, platform, account, name } = row;
  if (userId === null || platform === null || account === null) throw new AppError('not_found', unknownCode);
  return { userId, platform, account, name: name ?? '' };
};

/** Identities in the schema `user`. */
export const postgresIdentities = (options: IdentitiesOptions): Identities => {
  const { database, newId, start } = options;

  const publish = (
    tx: Tx,
    type: 'identity.linked' | 'identity.unlinked',
    { userId, platform }: { readonly userId: string; readonly platform: string },
    correlationId: string,
  ): Promise<void> => {
    const at = Date.now();
    const traceparent = currentTraceparent();
    return outbox.append(tx, [
      {
        ...{ id: newId(), type, source: 'user', time: at, subject: userId, correlationId },
        ...(traceparent === undefined ? {} : { traceparent }),
        ...{ data: { userId, platform, at }, schemaVersion: domainEvents[type].version },
      },
    ]);
  };

  const codeOf = async (tx: Tx, id: string): Promise<CodeRow> => {
    const [row] = await tx.query<CodeRow>(
      'select id, user_id, platform, account, name from link_code where id = $1',
      [id],
    );
    if (!row) throw new AppError('not_found', unknownCode);
    return row;
  };

  return {
    addCode: async ({ id, hash, of, lifeMs }) => {
      const [userId, account] = 'userId' in of ? [of.userId, undefined] : [null, of];
      await database.query(
        `insert into link_code (id, hash, user_id, platform, account, name, expires_at)
         values ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7 / 1000.0))`,
        [
          id,
          hash,
          userId,
          account?.platform ?? null,
          account?.account ?? null,
          account?.name ?? null,
          lifeMs,
        ],
      );
    },
    begin: async (hash, half, { correlationId, key }) => {
      const linking = await database.transaction(async (tx) => {
        const [userId, account] = 'userId' in half ? [half.userId, undefined] : [null, half];
        // The half that is there stays: a code is for one person, or for one account. Whether it is still good is for
        // the saga to say, as the same request may come again.
        const [row] = await tx.query<CodeRow>(
          `update link_code set user_id = coalesce(user_id, $2), platform = coalesce(platform, $3),
             account = coalesce(account, $4), name = coalesce(name, $5)
           where hash = $1
             and ($2::text is null or user_id is null or user_id = $2)
             and ($4::text is null or account is null or (platform = $3 and account = $4))
           returning id, user_id, platform, account, name`,
          [hash, userId, account?.platform ?? null, account?.account ?? null, account?.name ?? null],
        );
        if (!row) throw new AppError('not_found', unknownCode);
        return start(tx, { user: complete(row).userId, link: row.id }, { correlationId, key });
      });
      options.started();
      return linking;
    },
    useCode: (codeId, step) =>
      database.transaction((tx) =>
        participant.once(tx, step, async () => {
          const rows = await tx.query(
            'update link_code set used = true where id = $1 and not used and expires_at > now() returning 1',
            [codeId],
          );
          if (rows.length === 0) throw new AppError('not_found', unknownCode);
        }),
      ),
    restoreCode: (codeId, step) =>
      database.transaction((tx) =>
        participant.undo(tx, step, async () => {
          await tx.query('update link_code set used = false where id = $1', [codeId]);
        }),
      ),
    reserve: async (codeId, step) => {
      try {
        await database.transaction((tx) =>
          participant.once(tx, step, async () => {
            const { userId, platform, account, name } = complete(await codeOf(tx, codeId));
            const rows = await tx.query(
              `insert into identity (platform, account, user_id, name, link_code)
               values ($1, $2, $3, $4, $5) returning 1`,
              [platform, account, userId, name, codeId],
            );
            // The person was erased.
            if (rows.length === 0) throw new AppError('not_found', unknownCode);
          }),
        );
      } catch (error) {
        if (isUniqueViolation(error)) throw new AppError('identity_taken', undefined, { cause: error });
        throw error;
      }
    },
    release: (codeId, step) =>
      database.transaction((tx) =>
        participant.undo(tx, step, async () => {
          await tx.query('delete from identity where link_code = $1 and linked_at is null', [codeId]);
        }),
      ),
    link: async (codeId, step, correlationId) => {
      await database.transaction((tx) =>
        participant.once(tx, step, async () => {
          const [row] = await tx.query<{ userId: string; platform: string }>(
            `update identity set linked_at = now() where link_code = $1
             returning user_id as "userId", platform`,
            [codeId],
          );
          // Gone with its person; there is nothing to tell anybody.
          if (row) await publish(tx, 'identity.linked', row, correlationId);
        }),
      );
      options.published();
    },
    list: async (userId) => {
      const rows = await database.query<PlatformAccount & Record<string, unknown> & { linkedAt: Date }>(
        `select platform, account, name, linked_at as "linkedAt" from identity
         where user_id = $1 and linked_at is not null order by platform`,
        [userId],
      );
      return rows.map(({ platform, account, name, linkedAt }) => ({
        ...{ platform, account, name, linkedAtMs: linkedAt.getTime() },
      }));
    },
    unlink: async (userId, platform, correlationId) => {
      const gone = await database.transaction(async (tx) => {
        const rows = await tx.query(
          'delete from identity where user_id = $1 and platform = $2 and linked_at is not null returning 1',
          [userId, platform],
        );
        if (rows.length > 0) await publish(tx, 'identity.unlinked', { userId, platform }, correlationId);
        return rows.length > 0;
      });
      if (gone) options.published();
      return gone;
    },
    prune: async () => {
      // A saga may still read the account of its code.
      await database.query(`delete from link_code where expires_at < now() - interval '1 day'`);
    },
  };
};
