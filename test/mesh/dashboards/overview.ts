import type { Board } from './board.ts';
import { quantiles, rateBy } from './promql.ts';

const waiting = 'route!~"/v1/stream|/v1/poll|/message/unified"';
const ours = 'and on (namespace, pod) skein_service_info';

/** Is anything wrong, and where: the golden signals of every service. */
export const overview: Board = {
  id: 'overview',
  title: 'Overview',
  rows: [
    {
      title: 'Objectives',
      panels: [
        {
          title: 'Bad in the last hour, by objective',
          about: 'Needs the rules of the chart. What counts as bad: helm/skein/files/rules/objectives.yaml.',
          unit: 'percentunit',
          queries: [{ expr: 'max by (slo) (skein:slo_errors:ratio1h{$ns})', legend: '{{slo}}' }],
        },
        {
          title: 'How fast the error budget goes (1: it lasts 30 days)',
          about: 'Six hours. Above 6 somebody is woken.',
          unit: 'short',
          limit: 6,
          queries: [
            {
              expr: 'max by (slo) (skein:slo_errors:ratio6h{$ns} / on (slo) group_left () (1 - skein:slo_objective))',
              legend: '{{slo}}',
            },
          ],
        },
        {
          title: 'Instances',
          unit: 'short',
          queries: [{ expr: 'count by (service) (skein_service_info{$ns})', legend: '{{service}}' }],
        },
      ],
    },
    {
      title: 'Traffic, errors, duration: what people ask of the gateway',
      panels: [
        {
          title: 'Requests by status',
          unit: 'reqps',
          stacked: true,
          queries: [rateBy('http_server_request_duration_seconds_count', 'status')],
        },
        {
          title: 'Duration of requests',
          about: 'Without the routes that wait for something to happen. Promised: 200 ms in the mean.',
          unit: 's',
          limit: 0.2,
          queries: [
            {
              expr: `sum(rate(http_server_request_duration_seconds_sum{$ns, ${waiting}}[$__rate_interval]))
                / sum(rate(http_server_request_duration_seconds_count{$ns, ${waiting}}[$__rate_interval]))`,
              legend: 'mean',
            },
            ...quantiles('http_server_request_duration_seconds', { of: [0.99], match: waiting }),
          ],
        },
        {
          title: 'Faults of ours by route',
          unit: 'reqps',
          queries: [rateBy('http_server_request_duration_seconds_count', 'route, status', 'status=~"5.."')],
        },
      ],
    },
    {
      title: 'Traffic, errors, duration: calls between services',
      panels: [
        {
          title: 'Calls taken',
          unit: 'reqps',
          queries: [rateBy('rpc_server_call_duration_seconds_count', 'rpc_service')],
        },
        {
          title: 'Calls that failed, as the caller sees it',
          unit: 'reqps',
          queries: [
            rateBy(
              'rpc_client_call_duration_seconds_count',
              'rpc_service, code',
              'code=~"internal|unavailable|overloaded|deadline_exceeded"',
            ),
          ],
        },
        {
          title: 'Duration of unary calls, p99',
          unit: 's',
          queries: quantiles('rpc_client_call_duration_seconds', { of: [0.99], by: 'rpc_service' }),
        },
      ],
    },
    {
      title: 'Saturation',
      panels: [
        {
          title: 'Processor',
          about:
            'A service is one event loop: it does not get faster beyond one core. Then it needs more pods.',
          unit: 'cores',
          limit: 1,
          queries: [
            {
              expr: `max by (pod) (rate(process_cpu_seconds_total{$ns}[$__rate_interval]) ${ours})`,
              legend: '{{pod}}',
            },
          ],
        },
        {
          title: 'Memory',
          unit: 'bytes',
          queries: [
            { expr: `max by (pod) (process_resident_memory_bytes{$ns} ${ours})`, legend: '{{pod}}' },
            {
              expr: 'max by (pod) (nodejs_heap_used_bytes{$ns}) and on (pod) topk(3, max by (pod) (nodejs_heap_used_bytes{$ns}))',
              legend: '{{pod}} heap',
            },
          ],
        },
        {
          title: 'Delay of the event loop, p99 of each scrape',
          unit: 's',
          queries: [{ expr: 'max by (pod) (nodejs_eventloop_delay_p99_seconds{$ns})', legend: '{{pod}}' }],
        },
      ],
    },
  ],
};
