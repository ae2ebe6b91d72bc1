import type { Board } from './board.ts';
import { perPod, quantiles, rateBy, rateOf } from './promql.ts';

const service = 'rpc_service="skein.auth.v1.AuthService"';

/** Logins: how many, how they end, what they wait for. */
export const auth: Board = {
  id: 'auth',
  title: 'Auth',
  rows: [
    {
      title: 'Logins',
      panels: [
        {
          title: 'Calls by method',
          unit: 'reqps',
          queries: [rateBy('rpc_server_call_duration_seconds_count', 'rpc_method', service)],
        },
        {
          title: 'Refused, by method and code',
          about: 'Many invalid_credentials at once: somebody tries passwords.',
          unit: 'reqps',
          queries: [
            rateBy('rpc_server_call_duration_seconds_count', 'rpc_method, code', `${service}, code!="ok"`),
          ],
        },
        {
          title: 'Duration, p99',
          unit: 's',
          queries: quantiles('rpc_server_call_duration_seconds', {
            of: [0.99],
            by: 'rpc_method',
            match: `${service}, rpc_method!="WatchRevocations"`,
          }),
        },
      ],
    },
    {
      title: 'Passwords and tokens',
      panels: [
        {
          title: 'Passwords that wait to be hashed',
          about: 'A hash takes a core. From AUTH_HASH_QUEUE (50) on logins are refused: add pods.',
          unit: 'short',
          queries: [perPod('skein_auth_hashes_waiting')],
        },
        {
          title: 'Refresh tokens that came twice',
          about: 'A theft, or a client with a fault.',
          unit: 'reqps',
          queries: [rateOf('skein_auth_refresh_reuse_total', 'logins ended')],
        },
      ],
    },
  ],
};
