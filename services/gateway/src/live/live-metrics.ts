import type { MetricRegistry } from '@skein/telemetry';
import type { StreamBeginning } from './connection.ts';
import type { LiveDeps } from './deps.ts';
import type { Batch } from './frame.ts';

/** What the socket side counts as things happen. */
export interface LiveMetrics extends Pick<LiveDeps, 'closes' | 'diverged' | 'opened'> {
  began(how: StreamBeginning): void;
  handed(batch: Batch, receivers: number): void;
}

/** When an event was made, in epoch milliseconds: its id is a UUIDv7 (RFC 9562, section 5.7). NaN for other ids. */
const madeAt = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);

/** Metrics of the socket side. An event's age is told by two clocks, session-sync's and ours. */
export const liveMetrics = (metrics: MetricRegistry, now: () => number): LiveMetrics => {
  const opening = metrics.histogram(
    'gateway_socket_open_seconds',
    'Time from the token of a WebSocket to its welcome, by kind and code.',
  );
  const begun = metrics.counter(
    'gateway_streams_begun_total',
    'Streams begun or begun again: from the head, from memory, from the log, with a snapshot.',
  );
  const deliveries = metrics.counter(
    'gateway_deliveries_total',
    'Live frames handed to connections: one for each frame and connection.',
  );
  const push = metrics
    .histogram(
      'gateway_push_seconds',
      'Time from an event to its hand-over to all connections, commit included.',
    )
    .with({});
  return {
    closes: metrics.counter('gateway_sockets_closed_total', 'Sockets closed by the gateway, by close code'),
    diverged: metrics.counter(
      'gateway_divergent_documents_total',
      'Documents that a client had otherwise than the server, at the same version or above, and was sent anew.',
    ),
    opened: (kind, startedMs, code) => opening.observe((now() - startedMs) / 1_000, { kind, code }),
    began: (how) => begun.add(1, { how }),
    handed: ({ frames }, receivers) => {
      deliveries.add(frames.length * receivers);
      for (const frame of frames) {
        const madeMs = frame.kind === 'event' ? madeAt(frame.id) : Number.NaN;
        if (madeMs > 0) push.observe(Math.max(0, now() - madeMs) / 1_000);
      }
    },
  };
};
