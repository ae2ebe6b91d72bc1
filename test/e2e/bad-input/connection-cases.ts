/** What peers do that hold connections, and what becomes of them. Times are those of an untouched configuration. */
export const connectionCases = {
  flood: {
    what: '10,000 connections of one address that never sign in',
    connections: 10_000,
    taken: 50,
    refusal: {
      status: 429,
      headers: ['Content-Type: application/problem+json', 'Connection: close', 'Retry-After: 5'],
      body: {
        type: 'urn:skein:error:too_many_connections',
        title: 'Too many connections',
        status: 429,
        code: 'too_many_connections',
        detail: 'Too many connections',
        retryable: true,
        retryAfterMs: 5_000,
        traceId: '',
      },
    },
    answer:
      '50 are taken; the others get 429 `too_many_connections`, `Retry-After: 5`, and the end of the connection, and nothing they ask is done. Other addresses and people who are signed in are served meanwhile, in a heap of 96 MB.',
  },
  noHello: {
    what: 'a WebSocket without `hello` (or, on `/ws/{user_id}`, without a token)',
    close: { code: 4008, reason: '{"retryAfterMs":[500,5000]}' },
    afterMs: 5_000,
    answer: 'closed with 4008 after 5 s',
  },
  halfFrame: {
    what: 'half a first frame, or pings instead of one',
    close: { code: 4008, reason: '{"retryAfterMs":[500,5000]}' },
    afterMs: 5_000,
    answer: 'closed with 4008 after 5 s',
  },
  slowHeaders: {
    what: 'headers that dribble in, one byte a second',
    answer: '408 `deadline_exceeded` and the end of the connection after 10 s',
    afterMs: 10_000,
    body: {
      type: 'urn:skein:error:deadline_exceeded',
      title: 'Request Timeout',
      status: 408,
      code: 'deadline_exceeded',
      detail: 'Request Timeout',
      retryable: true,
      traceId: '',
    },
  },
  slowBody: {
    what: 'a body that dribbles in, one byte a second',
    answer: '408 `deadline_exceeded` and the end of the connection after 30 s',
    afterMs: 30_000,
  },
  silent: {
    what: 'a connection on which nothing is sent',
    answer: '408 `deadline_exceeded` and the end of the connection after 10 s',
    afterMs: 10_000,
  },
  fuzz: {
    what: 'any bytes (seeded), on a fresh connection, behind an upgrade, and as frames of an open socket',
    answer:
      'an HTTP error, an `error` frame or a close of the table; the process, its memory and other people are untouched',
  },
} as const;
