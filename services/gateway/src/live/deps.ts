import type { Clock } from '@skein/service-kit';
import type { Counter, Logger } from '@skein/telemetry';
import type { AddressOf, Clients, Limits, TokenVerifier } from '../ports.ts';
import type { ConnectionDeps } from './connection.ts';
import type { Feeds } from './feeds.ts';
import type { People } from './people.ts';
import type { SignIn } from './sign-in.ts';
import type { Sweeper } from './sweeper.ts';

/** Every time and size of the socket side; the defaults are those of the public contract. */
export interface Tuning {
  readonly pingMs: number;
  /** First frame within. */
  readonly helloMs: number;
  /** How long an expired token keeps a connection. */
  readonly graceMs: number;
  readonly sweepMs: number;
  readonly callTimeoutMs: number;
  /** Bytes of the largest first frame and of every later one. */
  readonly maxFirstFrame: number;
  readonly maxFrame: number;
  /** Requests of one socket that are being worked on. */
  readonly maxInflight: number;
  /** Bytes that may wait for a slow reader, and below which replays go on. */
  readonly budgetBytes: number;
  readonly lowBytes: number;
  readonly stallMs: number;
  /** SSE comments against idle proxies. */
  readonly heartbeatMs: number;
  /** Over which window a draining gateway closes its connections. */
  readonly drainMs: number;
  readonly ringCount: number;
  readonly ringBytes: number;
  readonly ringsBytes: number;
  readonly feedLingerMs: number;
  readonly retryBaseMs: number;
  readonly retryCapMs: number;
  /** How often the state hash of one space is read and sent. */
  readonly checkMs: number;
  /** How often the login behind a classic socket is asked for. */
  readonly recheckMs: number;
}

/** The values of the public contract. */
export const defaultTuning: Tuning = {
  pingMs: 25_000,
  helloMs: 5_000,
  graceMs: 60_000,
  sweepMs: 1_000,
  callTimeoutMs: 10_000,
  maxFirstFrame: 64 * 1024,
  maxFrame: 1_000_000,
  maxInflight: 64,
  budgetBytes: 1024 * 1024,
  lowBytes: 256 * 1024,
  stallMs: 30_000,
  heartbeatMs: 15_000,
  drainMs: 5_000,
  ringCount: 512,
  ringBytes: 256 * 1024,
  ringsBytes: 128 * 1024 * 1024,
  feedLingerMs: 60_000,
  retryBaseMs: 100,
  retryCapMs: 5_000,
  checkMs: 60_000,
  recheckMs: 300_000,
};

/** What every kind of connection is given. */
export interface LiveDeps {
  readonly clients: Clients;
  readonly verifier: TokenVerifier;
  readonly limits: Limits;
  readonly tuning: Tuning;
  readonly clock: Clock;
  readonly log: Logger;
  readonly addressOf: AddressOf;
  readonly newId: () => string;
  /** Sockets that we closed, by code; `cut` for those that stood still. */
  readonly closes: Counter;
  /** Documents that a client had otherwise than the server, though not older. */
  readonly diverged: Counter;
  /** Told of every socket that was opened or refused: when its token came, and `ok` or a code of the error table. */
  readonly opened: (kind: 'connect' | 'classic', startedMs: number, code: string) => void;
  readonly random: () => number;
  readonly signIn: SignIn;
  readonly people: People;
  readonly feeds: Feeds;
  readonly sweeper: Sweeper;
  readonly connection: ConnectionDeps;
  /** Tells everybody in a space that somebody types. */
  readonly typing: (frame: {
    space: string;
    conversationId: string;
    userId: string;
    deviceId: string;
  }) => void;
}
