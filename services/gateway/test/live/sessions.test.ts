import { AppError, type syncV1 } from '@skein/contracts';
import { rootContext } from '@skein/rpc';
import { afterEach, describe, expect, it } from 'vitest';
import { sessions } from '../../src/live/sessions.ts';
import { type Harness, startLive } from './harness.ts';

const device = { id: 'd', platform: 'web', name: '' };

/** A session-sync that answers when the test says so. */
const slowSync = () => {
  const asked: string[] = [];
  const answers: (() => void)[] = [];
  return {
    asked,
    answer: () => answers.shift()?.(),
    openSession: (request: syncV1.OpenSessionRequest) => {
      asked.push(request.device?.id ?? '');
      return new Promise<syncV1.OpenSessionResponse>((resolve) => {
        answers.push(() => resolve({ spaces: [] }));
      });
    },
  };
};

describe('sessions', () => {
  const call = (signal?: AbortSignal, timeoutMs = 60_000) => rootContext({ timeoutMs, signal });

  it('wait for their turn as long as their time allows, first come, first served', async () => {
    const sync = slowSync();
    const open = sessions(sync, { atOnce: 2, mostWaiting: 10 });
    const all = ['a', 'b', 'c', 'd'].map((id) => open({ ...device, id }, call()));
    await expect.poll(() => sync.asked).toEqual(['a', 'b']);
    sync.answer();
    await all[0];
    await expect.poll(() => sync.asked).toEqual(['a', 'b', 'c']);
    for (let at = 1; at < all.length; at += 1) {
      await expect.poll(() => sync.asked.length).toBeGreaterThan(at);
      sync.answer();
      await all[at];
    }
    expect(sync.asked).toEqual(['a', 'b', 'c', 'd']);
  });

  it('are refused with a time to come back when too many wait, or when theirs was too short', async () => {
    const sync = slowSync();
    const open = sessions(sync, { atOnce: 1, mostWaiting: 1 });
    void open(device, call());
    const short = open(device, call(undefined, 50));
    await expect(open(device, call())).rejects.toMatchObject({ code: 'overloaded', retryAfterMs: 1_000 });
    await expect(short).rejects.toMatchObject({ code: 'overloaded', retryAfterMs: 1_000 });
    expect(sync.asked).toHaveLength(1);
  });

  it('are not opened for a socket that went while it waited', async () => {
    const sync = slowSync();
    const open = sessions(sync, { atOnce: 1, mostWaiting: 5 });
    const first = open(device, call());
    const gone = new AbortController();
    const waiting = open({ ...device, id: 'gone' }, call(gone.signal));
    const next = open({ ...device, id: 'next' }, call());
    gone.abort(new AppError('cancelled'));
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
    sync.answer();
    await first;
    await expect.poll(() => sync.asked).toEqual(['d', 'next']);
    sync.answer();
    await next;
  });
});

describe('a storm of sockets', () => {
  let live: Harness;
  afterEach(() => live.stop());

  it('waits at the gateway for its sessions, and every socket is welcomed', async () => {
    live = await startLive({}, { UNAUTHENTICATED_PER_ADDRESS: 1_000 });
    const { openSession } = live.mesh.sync;
    const held = Promise.withResolvers<void>();
    let atOnce = 0;
    live.mesh.sync.openSession = async (request, ctx) => {
      atOnce += 1;
      await held.promise;
      return openSession?.(request, ctx) as Promise<syncV1.OpenSessionResponse>;
    };
    const sockets = Array.from({ length: 300 }, (_, at) => live.hello(`person-${at}`));
    await expect.poll(() => atOnce, { timeout: 20_000 }).toBe(256);
    // Everybody has said hello, and what open sockets ask for is not behind them.
    await expect.poll(() => live.metrics()).toContain('gateway_connections 300');
    expect(atOnce).toBe(256);
    held.resolve();
    await Promise.all(sockets.map((socket) => socket.first('welcome')));
  });
});
