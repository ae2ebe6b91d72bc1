import { AppError, type syncV1 } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import { must } from '@skein/service-kit';
import type { Clients, Principal } from '../ports.ts';
import { restDeviceId } from './origin.ts';

/** An object of the person's own keys. */
export type Preferences = Readonly<Record<string, unknown>>;

const place = { space: 'personal', collection: 'user_preferences', id: 'current' };

/** Attempts of a replacement when other devices write at the same time. */
const maxAttempts = 4;

/** Preferences with their version; `{}` at version 0 when nobody has set any. */
export const readPreferences = async (
  sync: Clients['sync'],
  ctx: CallContext,
): Promise<{ value: Preferences; version: number }> => {
  try {
    const { document } = await sync.getDocument(place, ctx);
    const found = must(document, 'session-sync answers with a document');
    return { value: JSON.parse(found.valueJson) as Preferences, version: found.version };
  } catch (error) {
    if (error instanceof AppError && error.code === 'not_found') return { value: {}, version: 0 };
    throw error;
  }
};

interface Operation {
  readonly op: 'set' | 'unset';
  readonly path: readonly string[];
  readonly value?: unknown;
}

/** The operations that turn one object into the other, key by key, so that untouched keys cannot conflict. */
export const replacing = (old: Preferences, wanted: Preferences): Operation[] => [
  ...Object.keys(old)
    .filter((key) => !Object.hasOwn(wanted, key))
    .map((key): Operation => ({ op: 'unset', path: [key] })),
  ...Object.entries(wanted)
    .filter(([key, value]) => JSON.stringify(old[key]) !== JSON.stringify(value))
    .map(([key, value]): Operation => ({ op: 'set', path: [key], value })),
];

interface Result {
  readonly outcome: string;
  readonly value?: Preferences;
  readonly code?: string;
}

const hlcOf = (nowMs: number, device: string): string =>
  `${Math.max(0, Math.floor(nowMs)).toString(16).padStart(12, '0')}-0000-${device}`;

/**
 * Replaces the preferences as a mutation of the device `rest-<login or token>`, whose seq session-sync keeps:
 * the gateway stores nothing. Two requests of one login at once meet in seq; the later one reads again.
 */
export const writePreferences = async (
  sync: Clients['sync'],
  principal: Principal,
  wanted: Preferences,
  ctx: CallContext,
  now: () => number = Date.now,
): Promise<Preferences> => {
  const device: syncV1.Device = {
    id: restDeviceId(principal),
    platform: 'api',
    name: '',
  };
  for (let attempt = 1; ; attempt += 1) {
    const old = await readPreferences(sync, ctx);
    const ops = replacing(old.value, wanted);
    if (ops.length === 0 && old.version > 0) return old.value;
    const { spaces } = await sync.openSession({ device }, ctx);
    const { lastSeq = 0, epoch } = spaces.find((space) => space.kind === 'personal') ?? {};
    const seq = lastSeq + 1;
    const mutation = {
      ...{ seq, collection: place.collection, id: place.id, baseVersion: old.version },
      ops: ops.length > 0 ? ops : [{ op: 'set', path: [], value: {} }],
      hlc: hlcOf(now(), device.id),
    };
    const result = await sync
      .mutate(
        { space: place.space, epoch, origin: { device }, mutationsJson: JSON.stringify([mutation]) },
        ctx,
      )
      .then(({ resultsJson }) => must((JSON.parse(resultsJson) as Result[])[0], 'one result per mutation'))
      .catch((error: unknown) => lostRace(error));
    if (result?.outcome === 'applied' || result?.outcome === 'merged') return result.value ?? wanted;
    if (result?.outcome === 'rejected') throw new AppError('invalid_request', 'The preferences were refused');
    if (attempt >= maxAttempts) throw new AppError('conflict');
  }
};

const races: ReadonlySet<string> = new Set(['expected_seq', 'seq_reused', 'position_lost']);

const lostRace = (error: unknown): undefined => {
  if (error instanceof AppError && races.has(error.code)) return;
  throw error;
};
