import type { Board } from './board.ts';
import { perPod, quantiles, rateBy, rateOf } from './promql.ts';

/** What people hold open: sockets, what is pushed through them, how they come back. */
export const gateway: Board = {
  id: 'gateway',
  title: 'Gateway',
  rows: [
    {
      title: 'Connections',
      panels: [
        { title: 'Open sockets, streams and polls', unit: 'short', queries: [perPod('gateway_connections')] },
        {
          title: 'From token to welcome',
          about: 'Promised: below 100 ms.',
          unit: 's',
          limit: 0.1,
          queries: quantiles('gateway_socket_open_seconds', { match: 'code="ok"' }),
        },
        {
          title: 'Sockets opened and refused, by code',
          unit: 'reqps',
          queries: [rateBy('gateway_socket_open_seconds_count', 'kind, code')],
        },
      ],
    },
    {
      title: 'What is pushed',
      panels: [
        {
          title: 'Deliveries',
          about: 'One for each frame and connection. One core carries some 100,000 a second.',
          unit: 'reqps',
          queries: [
            {
              expr: 'sum by (pod) (rate(gateway_deliveries_total{$ns}[$__rate_interval]))',
              legend: '{{pod}}',
            },
          ],
        },
        {
          title: 'From an event to all connections',
          about: 'Commit included, by the clocks of two pods. Promised: below 50 ms.',
          unit: 's',
          limit: 0.05,
          queries: quantiles('gateway_push_seconds'),
        },
        { title: 'Spaces followed', unit: 'short', queries: [perPod('gateway_feeds')] },
      ],
    },
    {
      title: 'Slow readers and coming back',
      panels: [
        {
          title: 'How streams begin',
          about: 'log and snapshot cost reads of the database: many at once are a crowd that comes back.',
          unit: 'reqps',
          queries: [rateBy('gateway_streams_begun_total', 'how')],
        },
        {
          title: 'Sockets we closed, by close code',
          about:
            '4011: too slow. 4012: the gateway leaves. cut: nothing was heard of it. All codes: docs/PROTOCOL.md.',
          unit: 'reqps',
          queries: [rateBy('gateway_sockets_closed_total', 'code')],
        },
        {
          title: 'Bytes that wait, and bytes kept for resuming',
          unit: 'bytes',
          queries: [
            { expr: 'sum by (pod) (gateway_queue_bytes{$ns})', legend: '{{pod}} wait' },
            { expr: 'sum by (pod) (gateway_ring_bytes{$ns})', legend: '{{pod}} kept' },
          ],
        },
      ],
    },
    {
      title: 'The feed from session-sync',
      panels: [
        {
          title: 'Live streams opened and broken',
          unit: 'reqps',
          queries: [
            rateOf('gateway_live_opened_total', 'opened'),
            rateOf('gateway_live_broken_total', 'broken'),
          ],
        },
        {
          title: 'Requests by route',
          unit: 'reqps',
          queries: [rateBy('http_server_request_duration_seconds_count', 'route')],
        },
      ],
    },
  ],
};
