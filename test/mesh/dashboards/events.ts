import type { Board } from './board.ts';
import { perPod, quantiles, rateBy } from './promql.ts';

/** Domain events: published, handled, late, failed. */
export const events: Board = {
  id: 'events',
  title: 'Domain events',
  rows: [
    {
      title: 'Publishing',
      panels: [
        { title: 'Events published', unit: 'reqps', queries: [rateBy('skein_relay_events_total', 'relay')] },
        {
          title: 'How far relays are behind',
          about: 'Only one pod of a service publishes; the others say 0. Grows while the bus is away.',
          unit: 's',
          queries: [perPod('skein_relay_lag_seconds')],
        },
      ],
    },
    {
      title: 'Handling',
      panels: [
        {
          title: 'Deliveries by outcome',
          about: 'duplicate: the inbox had it already. again: it failed and comes back.',
          unit: 'reqps',
          queries: [rateBy('skein_consumer_events_total', 'consumer, outcome')],
        },
        {
          title: 'From an event to its effect, p99',
          unit: 's',
          queries: quantiles('skein_consumer_delay_seconds', { of: [0.99], by: 'consumer' }),
        },
        {
          title: 'Dead letters of the last day',
          unit: 'short',
          queries: [
            {
              expr: 'sum by (consumer) (increase(skein_consumer_events_total{$ns, outcome="dead"}[1d]))',
              legend: '{{consumer}}',
            },
          ],
        },
      ],
    },
  ],
};
