import { decodeFrame, timeMs } from './decode.ts';
import type { ClientFrame, Fields, ServerFrame, WelcomeFrame } from './frames.ts';
import { type Clock, type GetAccess, type OpenSocket, SignInNeeded, type Socket } from './ports.ts';
import { createRequests, type Requests } from './requests.ts';
import { afterClose, jitteredMs, type StopReason } from './retry.ts';

/** How the page stands to the server right now. */
export type Link =
  | { readonly phase: 'idle' }
  | { readonly phase: 'connecting' }
  | { readonly phase: 'live' }
  | { readonly phase: 'waiting'; readonly retryAtMs: number }
  | { readonly phase: 'offline' }
  | { readonly phase: 'stopped'; readonly why: StopReason };

/** A connect attempt without a welcome is given up after this long. */
export const welcomeTimeoutMs = 10_000;
/** The session is renewed this long before it ends, so that a slow refresh still makes it. */
export const renewAheadMs = 60_000;
/** A connection that lasted this long was good: the next failure starts from the shortest wait. */
export const steadyMs = 5_000;
const defaultPingMs = 25_000;

/** What a connection needs from outside. */
export interface ConnectionDeps {
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly newId: () => string;
  readonly openSocket: OpenSocket;
  readonly access: GetAccess;
  /** Whose connection it is: welcomed as anybody else, it stops. */
  readonly user: string;
  /** Everything of `hello` but type, version and token; asked at every connect. */
  readonly hello: () => Fields;
  readonly onFrame: (frame: ServerFrame) => void;
  readonly onLink: (link: Link) => void;
}

/** One logical connection: sockets come and go below it until it is stopped. */
export interface Connection {
  /** Connects and stays connected. Harmless when it already is. */
  start(): void;
  /** Closes and stays closed. */
  stop(): void;
  /** The browser says whether there is a network. Coming back ends the wait at once. */
  online(is: boolean): void;
  /** Sends when live; `false` when there is nobody to send to. */
  send(frame: ClientFrame): boolean;
  readonly requests: Requests;
}

/**
 * Keeps a connection: hello, liveness, renewal of the session, reconnecting with full jitter and the contract's
 * close codes. Knows nothing of what the frames mean.
 */
export function createConnection(deps: ConnectionDeps): Connection {
  const { clock } = deps;
  let link: Link = { phase: 'idle' };
  let socket: Socket | undefined;
  /** Raised at every connect and stop: whatever an older attempt still reports is not ours any more. */
  let generation = 0;
  let attempt = 0;
  let liveSinceMs = 0;
  let heardMs = 0;
  let wantFresh = false;
  /** A fresh token was got since the last welcome. */
  let renewed = false;
  const timers = new Map<string, () => void>();

  const setLink = (next: Link): void => {
    link = next;
    deps.onLink(next);
  };
  const timer = (name: string, ms: number, run: () => void): void => {
    timers.get(name)?.();
    timers.set(name, clock.after(ms, run));
  };
  const write = (frame: ClientFrame): void => socket?.send(JSON.stringify(frame));
  const requests = createRequests({ clock, newId: deps.newId, send: write });

  const drop = (): void => {
    generation++;
    for (const cancel of timers.values()) cancel();
    timers.clear();
    const old = socket;
    socket = undefined;
    old?.close();
    requests.abandon();
  };

  const retryIn = (ms: number): void => {
    attempt++;
    setLink({ phase: 'waiting', retryAtMs: clock.now() + ms });
    timer('retry', ms, connect);
  };

  const halt = (why: StopReason): void => {
    drop();
    setLink({ phase: 'stopped', why });
  };

  const lost = (code: number, reason: string): void => {
    const steady = link.phase === 'live' && clock.now() - liveSinceMs >= steadyMs;
    drop();
    if (steady) attempt = 0;
    const next = afterClose(code, reason, attempt, deps.random());
    if (next.kind === 'stop') halt(next.why);
    else if (next.kind === 'retry') retryIn(next.afterMs);
    // 4001 straight after a fresh token: another one will not help.
    else if (renewed && !steady) halt('sign_in');
    else {
      wantFresh = true;
      retryIn(jitteredMs(attempt, deps.random()));
    }
  };

  function connect(): void {
    drop();
    const mine = generation;
    setLink({ phase: 'connecting' });
    timer('welcome', welcomeTimeoutMs, () => lost(1006, ''));
    deps.access({ fresh: wantFresh }).then(
      (access) => {
        if (mine !== generation) return;
        renewed ||= wantFresh;
        wantFresh = false;
        open(mine, access.token);
      },
      (error: unknown) => {
        if (mine !== generation) return;
        if (error instanceof SignInNeeded) halt('sign_in');
        else lost(1006, '');
      },
    );
  }

  function open(mine: number, token: string): void {
    socket = deps.openSocket({
      opened: () => {
        if (mine === generation) write({ type: 'hello', v: 1, token, ...deps.hello() });
      },
      message: (text) => {
        if (mine !== generation) return;
        heardMs = clock.now();
        const frame = decodeFrame(text);
        if (frame === undefined) return;
        if (frame.type === 'welcome') {
          if (frame.user !== deps.user) return halt('sign_in');
          welcomed(frame);
        }
        requests.take(frame);
        deps.onFrame(frame);
      },
      closed: (code, reason) => {
        if (mine === generation) lost(code, reason);
      },
    });
  }

  function welcomed(frame: WelcomeFrame): void {
    timers.get('welcome')?.();
    liveSinceMs = clock.now();
    renewed = false;
    setLink({ phase: 'live' });
    keepAlive(frame.pingMs || defaultPingMs);
    // Both ends of the session's time are the server's, so a wrong clock here does not matter.
    if (frame.authExpiresAtMs > 0) renewIn(frame.authExpiresAtMs - (frame.serverTimeMs || clock.now()));
  }

  /** Browsers hide the server's pings, so we send our own: an answer of any kind shows the line is alive. */
  function keepAlive(pingMs: number): void {
    timer('ping', pingMs, () => {
      if (clock.now() - heardMs > 2 * pingMs + 5_000) return lost(1006, '');
      write({ type: 'ping', t: clock.now() });
      keepAlive(pingMs);
    });
  }

  function renewIn(leftMs: number): void {
    // A page that slept, or a very short session, renews soon rather than never.
    timer('renew', Math.max(1_000, Math.min(leftMs - renewAheadMs, 0x7fff_ffff)), () => void renew());
  }

  async function renew(): Promise<void> {
    const mine = generation;
    try {
      const access = await deps.access({ fresh: true });
      if (mine !== generation) return;
      const result = await requests.ask({ type: 'auth', token: access.token });
      if (mine !== generation) return;
      renewIn((timeMs(result['authExpiresAt']) || access.expiresAtMs) - clock.now());
    } catch (error) {
      if (mine !== generation) return;
      if (error instanceof SignInNeeded) return halt('sign_in');
      // Within the server's grace there is time for several more tries; after it, 4001 decides.
      timer('renew', 5_000, () => void renew());
    }
  }

  return {
    requests,
    start: () => {
      if (link.phase === 'idle' || link.phase === 'stopped') {
        attempt = 0;
        wantFresh = false;
        renewed = false;
        connect();
      }
    },
    stop: () => {
      drop();
      setLink({ phase: 'idle' });
    },
    online: (is) => {
      if (link.phase === 'idle' || link.phase === 'stopped') return;
      if (!is) {
        drop();
        setLink({ phase: 'offline' });
      } else if (link.phase === 'offline' || link.phase === 'waiting') {
        attempt = 0;
        connect();
      }
    },
    send: (frame) => {
      if (link.phase !== 'live') return false;
      write(frame);
      return true;
    },
  };
}
