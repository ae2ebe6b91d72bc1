import { problem } from './answers.ts';

/** Consul and NATS away, at the start and later. */
export const componentCases = {
  consulAtStart: {
    what: 'Consul is away when the mesh starts',
    keys: problem(503, 'unavailable', 'The signing keys are not loaded yet'),
    call: problem(503, 'unavailable', undefined, { retryAfterMs: 1_000 }),
    token: problem(503, 'unavailable', 'Tokens cannot be checked right now', { retryAfterMs: 1_000 }),
    answer:
      'every process starts and is ready, and registers as soon as it can. Until then `/readyz` is 503 (“The signing keys are not loaded yet”), calls 503 `unavailable` with `retryAfterMs`, never 401 for a token nobody can check, and sockets close with 4013',
  },
  natsAtStart: {
    what: 'NATS is away when the mesh starts',
    says: 'NATS is not there yet: starting without it',
    answer:
      'every process says `NATS is not there yet: starting without it` after 2 s and is ready; messages are answered; events wait in the database and arrive when it comes',
  },
  consulLater: {
    what: 'Consul goes away later',
    answer:
      'calls go on with the instances known last; when it comes back, empty even, everybody registers again',
  },
  natsLater: {
    what: 'NATS goes away later, even with its store lost',
    answer:
      'messages are answered meanwhile; no event is lost, and consumers act on each once when it is back',
  },
} as const;
