import { type EventBus, type LiveBus, relay } from '@skein/events';
import { groupCommit } from '@skein/postgres';
import type { Service } from '@skein/service-kit';
import { eventLogSource, leaves } from '../adapters/event-log-source.ts';
import { measuredBatcher } from '../adapters/measured-batcher.ts';
import { nativeSha256 } from '../adapters/native-sha256.ts';
import { postgresSpaceStore } from '../adapters/postgres-space-store.ts';
import type { CommittedEvents } from '../app/ports.ts';
import { recording } from '../app/recording.ts';
import { createWriter, type Writer } from '../app/writer.ts';
import type { Base } from './base.ts';

/** The writer of the event log, and the relay that carries what it commits to the bus. */
export const writingParts = (
  { platform: { log, metrics, instance }, database, clock, timers, ids }: Base,
  { bus, live }: { readonly bus: EventBus; readonly live: LiveBus },
  committed: (batch: CommittedEvents) => void,
): { readonly writer: Writer; readonly writing: Service; readonly outbox: Service } => {
  const outbox = relay({
    database,
    source: eventLogSource,
    ...{ bus, live },
    name: 'session-sync',
    instance,
    log,
    metrics,
  });
  const races = metrics.counter(
    'session_sync_writes_unusual_total',
    'Writes that lost a race or were read back',
  );
  const events = metrics.counter('session_sync_events_total', 'Events committed to the log, by type');
  const written: Writer = createWriter({
    store: postgresSpaceStore(database),
    batcher: measuredBatcher(groupCommit, metrics),
    ids,
    clock,
    wait: (delayMs) => new Promise((resolve) => timers.after(delayMs, resolve)),
    noticed: (what) => races.add(1, { what }),
    committed: (batch) => {
      let leaving = false;
      for (const one of batch) {
        for (const { type } of one.events) {
          events.add(1, { type });
          leaving ||= leaves(type);
        }
        committed(one);
      }
      if (leaving) outbox.wake();
    },
  });
  const writer = recording(written, { sha256: nativeSha256, salt: () => ids.code() });
  metrics.gauge('session_sync_writes_queued', 'Commands waiting for a flush', () => writer.depth.queued);
  return { writer, writing: { id: 'writer', run: async () => {}, stop: () => writer.stop() }, outbox };
};
