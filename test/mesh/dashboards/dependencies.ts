import type { Board } from './board.ts';
import { perPod, quantiles, rateBy } from './promql.ts';

/** What the services lean on, as they see it: Postgres, NATS, Consul, each other. */
export const dependencies: Board = {
  id: 'dependencies',
  title: 'Postgres, NATS, Consul',
  rows: [
    {
      title: 'Postgres',
      panels: [
        {
          title: 'Work under way',
          about: 'Beyond DATABASE_POOL_SIZE it waits for a connection.',
          unit: 'short',
          queries: [perPod('skein_database_in_flight')],
        },
        {
          title: 'Duration, waiting included, p99',
          unit: 's',
          queries: quantiles('skein_database_seconds', { of: [0.99], by: 'work' }),
        },
        {
          title: 'Work that failed, by code',
          about:
            'unavailable: no connection. overloaded: no free one in time. refused: the statement itself.',
          unit: 'reqps',
          queries: [rateBy('skein_database_seconds_count', 'pod, code', 'code!="ok"')],
        },
      ],
    },
    {
      title: 'NATS, Consul and the config centre',
      panels: [
        { title: 'Connected to NATS', unit: 'short', queries: [perPod('skein_nats_up')] },
        { title: 'Consul answers', unit: 'short', queries: [perPod('skein_consul_up')] },
        {
          title: 'Instances that calls go to',
          about: 'The least that any caller knows.',
          unit: 'short',
          queries: [{ expr: 'min by (target) (skein_consul_instances{$ns})', legend: '{{target}}' }],
        },
        { title: 'Config centre answers', unit: 'short', queries: [perPod('skein_config_up')] },
        {
          title: 'Settings that are not valid',
          about: 'Of the config centre; what was valid last stays in use.',
          unit: 'short',
          queries: [perPod('skein_config_refused')],
        },
      ],
    },
    {
      title: 'Each other',
      panels: [
        {
          title: 'Open circuits',
          unit: 'short',
          queries: [{ expr: 'max by (circuit) (rpc_client_circuit_open{$ns})', legend: '{{circuit}}' }],
        },
        {
          title: 'Calls by code, as the caller sees it',
          unit: 'reqps',
          queries: [rateBy('rpc_client_call_duration_seconds_count', 'rpc_service, code', 'code!="ok"')],
        },
      ],
    },
  ],
};
