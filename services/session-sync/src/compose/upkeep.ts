import type { Service } from '@skein/service-kit';
import type { CollectionPolicies } from '../adapters/collection-policies.ts';
import { postgresArchive } from '../adapters/postgres-archive.ts';
import { postgresRebuild } from '../adapters/postgres-rebuild.ts';
import { postgresSweeps } from '../adapters/postgres-sweeps.ts';
import { archiveUseCase } from '../app/archive.ts';
import type { AppParts } from '../app/parts.ts';
import { periodic } from '../app/periodic.ts';
import { type SweepOptions, sweepUseCase } from '../app/sweep.ts';
import type { Config } from '../config.ts';
import type { Base } from './base.ts';

/** All heads are compared in this time, a part of them at a time. */
const headCheckMs = 2_000;
const headCheckParts = 20;
const presenceSweepMs = 1_000;
/** Peers believe what they were told for 10 s. */
const presenceAnnounceMs = 3_000;
const checkpointMs = 1_000;
const archiveMs = 600_000;
/** A person who has ordered a rebuild waits for it. */
const rebuildMs = 2_000;
/** Departures noted together in one statement. */
const maxDepartures = 10_000;

/** Departures of devices, noted together. */
export const departureLog = ({ devices, clock }: Pick<AppParts, 'devices' | 'clock'>) => {
  const departures: { userId: string; id: string }[] = [];
  return {
    departed: (userId: string, id: string): void => {
      // One more or less is soon made up for; a queue without a bound would not be.
      if (departures.length < maxDepartures) departures.push({ userId, id });
    },
    note: async (): Promise<void> => {
      if (departures.length > 0) await devices.seen(departures.splice(0), clock.now());
    },
  };
};

/** What this service does by itself again and again. */
export const upkeep = (
  { platform: { log, metrics }, database, clock, timers }: Base,
  { hub, peers }: Pick<AppParts, 'hub' | 'peers'>,
  own: {
    readonly checkpoint: (signal: AbortSignal) => Promise<void>;
    readonly turns: SweepOptions['turns'];
    readonly noteDepartures: () => Promise<void>;
    readonly policies: CollectionPolicies;
    readonly config: Config;
  },
): readonly Service[] => {
  const { config } = own;
  const every = (
    id: string,
    everyMs: number,
    what: string,
    work: (signal: AbortSignal) => Promise<void> | void,
  ): Service =>
    periodic(id, { everyMs, timers, work, failed: (error) => log.warn({ err: error }, `${what} failed`) });
  const sweep = sweepUseCase({
    turns: own.turns,
    sweeps: postgresSweeps(database),
    clock,
    turnTimeoutMs: () => config.TURN_TIMEOUT_MS,
    retained: own.policies.retained,
    failed: (error, turnId) => log.warn({ err: error, turnId }, 'an overdue turn could not be ended'),
  });
  const archived = metrics.counter('session_sync_archived_events_total', 'Events moved to the archive');
  const archive = archiveUseCase({
    archive: postgresArchive(database, 'session-sync'),
    clock,
    afterDays: config.ARCHIVE_AFTER_DAYS,
    moved: (count) => archived.add(count),
  });
  return [
    every('head check', headCheckMs / headCheckParts, 'the head check', () =>
      hub.feeds.checkHeads(headCheckParts),
    ),
    every('presence sweep', presenceSweepMs, 'the presence sweep', () => hub.presence.sweep()),
    every('presence announcement', presenceAnnounceMs, 'the presence announcement', () => {
      for (const space of hub.presence.ownSpaces()) peers.presence(space, hub.presence.own(space));
    }),
    every('departures', presenceSweepMs, 'noting departures', own.noteDepartures),
    every('checkpoints', checkpointMs, 'a checkpoint of past states', own.checkpoint),
    every('archive', archiveMs, 'moving events to the archive', archive),
    every('read models', rebuildMs, 'rebuilding read models', postgresRebuild(database, log).run),
    every('sweep', config.SWEEP_MS, 'the sweep', sweep),
  ];
};
