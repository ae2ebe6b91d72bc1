import type { Board } from './board.ts';
import { perPod, quantiles, rateBy, rateOf } from './promql.ts';

/** The log: how quickly it takes writes, and what becomes of them. */
export const sessionSync: Board = {
  id: 'session-sync',
  title: 'Session sync',
  rows: [
    {
      title: 'Writing',
      panels: [
        {
          title: 'A flush: reading, deciding, committing',
          about: 'Everybody who waits for a write waits for one or two of these.',
          unit: 's',
          queries: quantiles('session_sync_flush_seconds'),
        },
        {
          title: 'Commands that share a flush',
          about: 'Grows with load: that is how more writes cost fewer commits. 256 is the most.',
          unit: 'short',
          queries: [
            {
              expr: `sum(rate(session_sync_flush_commands_sum{$ns}[$__rate_interval]))
                / sum(rate(session_sync_flush_commands_count{$ns}[$__rate_interval]))`,
              legend: 'mean',
            },
            ...quantiles('session_sync_flush_commands', { of: [0.99] }),
          ],
        },
        {
          title: 'Commands that wait',
          about: 'From 10,000 on they are refused as overloaded.',
          unit: 'short',
          queries: [perPod('session_sync_writes_queued')],
        },
      ],
    },
    {
      title: 'What is written',
      panels: [
        {
          title: 'Events by type',
          unit: 'reqps',
          stacked: true,
          queries: [rateBy('session_sync_events_total', 'type')],
        },
        {
          title: 'Conflicts between devices',
          unit: 'reqps',
          queries: [rateOf('session_sync_events_total', 'conflicts', 'type="conflict.detected"')],
        },
        {
          title: 'Unusual writes',
          about:
            'moved: lost a race and tried again. exclusive: too often. unknown: the commit had to be read back.',
          unit: 'reqps',
          queries: [rateBy('session_sync_writes_unusual_total', 'what')],
        },
      ],
    },
    {
      title: 'Reading and passing on',
      panels: [
        { title: 'Spaces watched', unit: 'short', queries: [perPod('session_sync_feeds')] },
        {
          title: 'Calls by method',
          unit: 'reqps',
          queries: [
            rateBy(
              'rpc_server_call_duration_seconds_count',
              'rpc_method',
              'rpc_service="skein.sync.v1.SyncService"',
            ),
          ],
        },
        {
          title: 'Duration of unary calls, p99',
          unit: 's',
          queries: quantiles('rpc_server_call_duration_seconds', {
            of: [0.99],
            by: 'rpc_method',
            match: 'rpc_service="skein.sync.v1.SyncService", rpc_method!~"Live|StreamMutate"',
          }),
        },
      ],
    },
  ],
};
