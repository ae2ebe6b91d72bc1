import { AppError } from '@skein/contracts';
import { type Database, sqlState } from '@skein/postgres';
import type { Position } from './outbox.ts';
import { unsynced } from './unsynced.ts';

/** What a relay remembers in its database, and the lease on it. */
export interface RelayRow {
  /** Names this holding of the lease; what another holder, or a command, has changed cannot be noted over. */
  readonly fence: number;
  readonly position: Position;
  /** Of the bus it published to; undefined before the first time and after re-anchoring. */
  readonly storeId: string | undefined;
  readonly boot: string;
  /** Up to here the bus may know events of ours that the log does not: they were there at the re-anchoring. */
  readonly busMark: number;
  /** Of the database server; undefined before the first time and after re-anchoring. */
  readonly systemId: string | undefined;
  /** Every consumer has handled what is before it. */
  readonly handled: Position | undefined;
  /** When the newest published event was written, epoch milliseconds. */
  readonly newestMs: number | undefined;
  /** A command asks to publish again from here (epoch milliseconds); minus infinity: all that a bus would keep. */
  readonly replayFromMs: number | undefined;
  /** When it was asked for: events before it are published although the bus knows them. 0: never. */
  readonly replayedAtMs: number;
  /**
   * Every kind of event that some replica could publish: undefined while the holder can, else where it began to be
   * passed over.
   */
  readonly passedOver: ReadonlyMap<string, Position | undefined>;
}

/** What changes as a relay goes on. */
export type RelayChange = Omit<RelayRow, 'fence' | 'replayedAtMs'>;

/** A replica that dies leaves the log alone for this long. */
const leaseMs = 10_000;

const positionText = ({ era, xid, seq }: Position): string => `${era}.${xid}.${seq}`;
const positionOf = (text: string): Position => {
  const [era = '', xid = '', seq = ''] = text.split('.');
  return { era: Number(era), xid, seq: Number(seq) };
};

const returned = `fence, era, xid::text as xid, seq, store_id as "storeId", boot, bus_mark as "busMark",
  system_id as "systemId", handled, extract(epoch from newest_at)::float8 * 1000 as "newestMs",
  extract(epoch from replay_from)::float8 * 1000 as "replayFromMs",
  coalesce(extract(epoch from replayed_at)::float8 * 1000, 0) as "replayedAtMs", passed_over as "passedOver"`;

interface Stored extends Record<string, unknown> {
  readonly fence: number;
  readonly era: number;
  readonly xid: string;
  readonly seq: number;
  readonly storeId: string | null;
  readonly boot: string;
  readonly busMark: number;
  readonly systemId: string | null;
  readonly handled: string | null;
  readonly newestMs: number | null;
  readonly replayFromMs: number | null;
  readonly replayedAtMs: number;
  readonly passedOver: Readonly<Record<string, string | null>>;
}

/**
 * The row of one relay; several replicas want it and one holds it. `kinds` are what this one can publish: during an
 * upgrade one replica knows events that another passes over.
 */
export const relayRow = (database: Database, name: string, instance: string, kinds: readonly string[]) => ({
  /** Before the first event is written here: from now on what the holder does not know is missing on the bus. */
  announce: async (): Promise<void> => {
    await database.query(
      `insert into relay as r (name, passed_over)
       select $1, coalesce(jsonb_object_agg(kind, '0.0.0'), '{}') from unnest($2::text[]) kind
       on conflict (name) do update set passed_over = (
         select jsonb_object_agg(kind, concat_ws('.', r.era, r.xid, r.seq)) from unnest($2::text[]) kind
       ) || r.passed_over
       where not r.passed_over ?& $2::text[]`,
      [name, kinds],
    );
  },
  /** Takes or renews the lease; undefined while another replica has it that publishes all that this one can. */
  hold: async (): Promise<RelayRow | undefined> => {
    const [row] = await database.query<Stored>(
      `insert into relay as r (name, holder, fence, lease_until, kinds)
       values ($1, $2, 1, now() + make_interval(secs => $3 / 1000.0), $4)
       on conflict (name) do update set
         fence = case when r.holder = $2 then r.fence else r.fence + 1 end,
         holder = $2, lease_until = excluded.lease_until, kinds = excluded.kinds
       where r.holder = $2 or r.lease_until < now() or not excluded.kinds <@ r.kinds
       returning ${returned}`,
      [name, instance, leaseMs, kinds],
    );
    return (
      row && {
        fence: row.fence,
        position: { era: row.era, xid: row.xid, seq: row.seq },
        storeId: row.storeId ?? undefined,
        boot: row.boot,
        busMark: row.busMark,
        systemId: row.systemId ?? undefined,
        handled: row.handled === null ? undefined : positionOf(row.handled),
        newestMs: row.newestMs ?? undefined,
        replayFromMs: row.replayFromMs ?? undefined,
        replayedAtMs: Math.ceil(row.replayedAtMs),
        passedOver: new Map(
          Object.entries(row.passedOver).map(([kind, at]) => [
            kind,
            at === null ? undefined : positionOf(at),
          ]),
        ),
      }
    );
  },
  /** Stores how far it is. `conflict` when the fence is another's by now. */
  note: async (fence: number, to: RelayChange): Promise<void> => {
    const rows = await database.query(
      {
        name: 'relay-note',
        text: `update relay set era = $3, xid = $4::xid8, seq = $5, store_id = $6, boot = $7, bus_mark = $8,
                 system_id = $9, handled = $10, newest_at = to_timestamp($11 / 1000.0),
                 replay_from = to_timestamp($12 / 1000.0),
                 -- A kind that another replica has announced meanwhile stays.
                 passed_over = passed_over || $13::jsonb
               where name = $1 and fence = $2 returning ${unsynced}`,
      },
      [
        ...[name, fence, to.position.era, to.position.xid, to.position.seq],
        ...[to.storeId ?? null, to.boot, to.busMark, to.systemId ?? null],
        to.handled ? positionText(to.handled) : null,
        ...[to.newestMs ?? null, to.replayFromMs ?? null],
        JSON.stringify(
          Object.fromEntries(
            [...to.passedOver].map(([kind, at]) => [kind, at === undefined ? null : positionText(at)]),
          ),
        ),
      ],
    );
    if (rows.length === 0) throw new AppError('conflict', 'the relay was taken over, or told to begin again');
  },
  /** The next holder need not wait for the lease to run out. */
  release: async (): Promise<void> => {
    await database.query(`update relay set lease_until = '-infinity' where name = $1 and holder = $2`, [
      name,
      instance,
    ]);
  },
});

const insufficientPrivilege = '42501';

/** The identity of the database server's files; empty where the user may not ask. */
export const systemIdOf = async (database: Database): Promise<string> => {
  try {
    const [row] = await database.query<{ id: string }>(
      'select system_identifier::text as id from pg_control_system()',
    );
    return row?.id ?? '';
  } catch (error) {
    // Some hosted servers keep it to themselves; the other signs of a restore remain.
    if (sqlState(error) === insufficientPrivilege) return '';
    throw error;
  }
};
