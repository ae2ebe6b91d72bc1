import type { Clock, Service } from '@skein/service-kit';
import { lifecycle } from '@skein/service-kit';
import type { Logger, MetricRegistry } from '@skein/telemetry';
import { v7 } from 'uuid';
import { addressBehind } from '../http/address.ts';
import { originCheck } from '../http/origins.ts';
import type { Clients, Limits, LiveSide, TokenVerifier } from '../ports.ts';
import { pollHandler } from '../stream/poll.ts';
import { sseHandler } from '../stream/sse.ts';
import { webSocketSide } from '../ws/server.ts';
import { callFor } from './actor.ts';
import { pause } from './backoff.ts';
import { Checks } from './checks.ts';
import { closeCodes, closing } from './close.ts';
import { defaultTuning, type LiveDeps, type Tuning } from './deps.ts';
import { Feeds } from './feeds.ts';
import { liveMetrics } from './live-metrics.ts';
import { People } from './people.ts';
import { type ConnectedDevice, Presence } from './presence.ts';
import { sharedReads } from './shared-reads.ts';
import { signIn } from './sign-in.ts';
import { Sweeper } from './sweeper.ts';
import { type Upstream, upstream } from './upstream.ts';
import { waitingRoom } from './waiting-room.ts';
import { watchTurn } from './watch-turn.ts';

export type { Tuning } from './deps.ts';

/** What the socket side is made of. */
export interface LiveSideOptions {
  readonly clients: Clients;
  readonly verifier: TokenVerifier;
  readonly limits: Limits;
  readonly config: {
    readonly SOCKETS_PER_PERSON: number;
    readonly PING_MS: number;
    readonly CALL_TIMEOUT_MS: number;
    readonly TRUST_PROXY: number;
    readonly CORS_ORIGINS: readonly string[];
  };
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  /** 0 ≤ n < 1; default `Math.random`. */
  readonly random?: () => number;
  /** Default: UUIDv7. */
  readonly newId?: () => string;
  /** Times and sizes other than the contract's. */
  readonly tuning?: Partial<Tuning>;
}

/** The socket side with what operators and tests look at. */
export interface Live extends LiveSide {
  /** The devices of a person that are connected to this gateway. */
  connectedDevices(userId: string): readonly ConnectedDevice[];
  /** Bytes that wait for a person's slow readers. */
  queuedBytes(userId: string): number;
  /** The person may have become a member of a space: live connections follow it within a second. */
  invited(userId: string, space: string): void;
}

/** How long a socket that is to leave may wait for the answers to what it has sent. */
const answerMs = 3_000;

/**
 * Frees the connections over a window, so that they do not all come back at once, and each after the answers to what
 * it has sent: otherwise it would have to send that again.
 */
const farewell = async (people: People, windowMs: number, random: () => number): Promise<void> => {
  const signal = new AbortController().signal;
  await Promise.all(
    people.all().map(async (guest) => {
      await pause(random() * windowMs, signal);
      if (guest.requests && windowMs > 0)
        await Promise.race([guest.requests.none(), pause(answerMs, signal)]);
      people.remove(guest);
      guest.close(closing(closeCodes.leaving));
    }),
  );
};

/**
 * Everything of the gateway that stays open: WebSockets (`/v1/connect`, `/ws/{user_id}`), SSE and long poll, fed
 * by one `Live` stream from session-sync. `drain` refuses new sockets and closes the open ones with 4012.
 */
export const liveSide = (options: LiveSideOptions): Live => {
  const {
    clients,
    verifier,
    limits,
    config,
    clock,
    log,
    metrics,
    random = Math.random,
    newId = v7,
  } = options;
  const tuning: Tuning = {
    ...defaultTuning,
    pingMs: config.PING_MS,
    callTimeoutMs: config.CALL_TIMEOUT_MS,
    ...options.tuning,
  };
  const { closes, diverged, opened, began, handed } = liveMetrics(metrics, () => clock.now());
  let live: Upstream | undefined;
  const send: Upstream['send'] = (request) => live?.send(request);
  const people = new People(() => config.SOCKETS_PER_PERSON);
  const presence = new Presence(send);
  const invited = (userId: string, space: string) => {
    for (const { connection } of people.of(userId)) {
      connection?.welcomeTo(space).catch((error: unknown) => {
        log.warn({ err: error, space }, 'a new member could not follow the space');
      });
    }
  };
  const checks = new Checks({ sync: clients.sync, everyMs: tuning.checkMs, log });
  const feeds = new Feeds(
    {
      ring: { count: tuning.ringCount, bytes: tuning.ringBytes },
      bytes: tuning.ringsBytes,
      lingerMs: tuning.feedLingerMs,
      lingering: 10_000,
    },
    {
      loadTurn: async (turnId, actor) => {
        const { turn } = await clients.agent.getTurn({ turnId }, callFor(actor, tuning.callTimeoutMs));
        return turn && (turn.state === 'streaming' || turn.state === 'queued') ? turn.text : undefined;
      },
      check: (feed) => checks.want(feed),
      invited,
      defer: (task) => {
        setImmediate(task);
      },
      handed,
    },
    send,
  );
  live = upstream({
    sync: clients.sync,
    log,
    metrics,
    random,
    greeting: function* () {
      yield { $case: 'reads', value: { bundles: true } };
      yield* presence.attaches();
      yield* feeds.follows();
    },
    onFrame: (frame) => {
      if (frame.$case === 'replaced') people.replaced(frame.value);
      else if (frame.$case === 'bundle')
        for (const value of frame.value.spaces) feeds.dispatch({ $case: 'events', value });
      else feeds.dispatch(frame);
    },
    retry: { baseMs: tuning.retryBaseMs, capMs: tuning.retryCapMs },
  });
  const sweeper = new Sweeper(clock, tuning.sweepMs);
  sweeper.add(checks);
  const deps: LiveDeps = {
    clients,
    verifier,
    limits,
    clock,
    log,
    random,
    newId,
    closes,
    diverged,
    opened,
    addressOf: addressBehind(config.TRUST_PROXY),
    tuning,
    signIn: signIn(verifier, clients.auth, clock, tuning.callTimeoutMs),
    people,
    feeds,
    sweeper,
    connection: {
      feeds,
      presence,
      sync: clients.sync,
      sessions: waitingRoom('sessions'),
      readEvents: sharedReads(clients.sync, waitingRoom('reads of the log')),
      random,
      newId,
      callTimeoutMs: tuning.callTimeoutMs,
      began,
    },
    typing: (value) => send({ $case: 'typing', value }),
  };
  const sockets = webSocketSide(
    deps,
    originCheck(() => config.CORS_ORIGINS),
  );
  const unsubscribe = verifier.onRevoked((match) => people.revoke(match));
  metrics.gauge('gateway_connections', 'Open sockets, streams and polls', () => people.size);
  metrics.gauge('gateway_queue_bytes', 'Bytes that wait for slow readers', () =>
    people.all().reduce((sum, guest) => sum + (guest.queued ?? 0), 0),
  );
  metrics.gauge('gateway_feeds', 'Spaces followed upstream', () => feeds.size.feeds);
  metrics.gauge('gateway_ring_bytes', 'Bytes of recent events kept for resuming', () => feeds.size.bytes);

  const guests: Service = {
    id: 'connections',
    run: async () => {},
    drain: async () => {
      sockets.leave();
      await farewell(people, tuning.drainMs, random);
    },
    stop: async () => {
      sockets.leave();
      unsubscribe();
      await farewell(people, 0, random);
      feeds.close();
    },
  };
  return {
    service: lifecycle('live side', [live, sweeper, guests], {
      drainTimeoutMs: tuning.drainMs + answerMs + 500,
    }),
    attach: sockets.attach,
    stream: sseHandler(deps),
    poll: pollHandler(deps),
    watchTurn: (space, turnId, signal) => watchTurn(feeds, space, turnId, signal),
    queuedBytes: (userId) => people.of(userId).reduce((sum, guest) => sum + (guest.queued ?? 0), 0),
    connectedDevices: (userId) => presence.devices(userId),
    invited,
  };
};
