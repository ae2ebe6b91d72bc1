import { AppError, type syncV1 } from '@skein/contracts';
import { rootContext } from '@skein/rpc';
import { afterEach, describe, expect, it } from 'vitest';
import { sharedReads } from '../../src/live/shared-reads.ts';
import { waitingRoom } from '../../src/live/waiting-room.ts';
import { type Harness, startLive } from './harness.ts';

/** Calls that are answered when the test says so. */
const slow = <T>(answer: T) => {
  const asked: string[] = [];
  const answers: (() => void)[] = [];
  return {
    asked,
    answer: () => answers.shift()?.(),
    ask: (name: string) => {
      asked.push(name);
      return new Promise<T>((resolve) => {
        answers.push(() => resolve(answer));
      });
    },
  };
};
const call = (signal?: AbortSignal, timeoutMs = 60_000) => rootContext({ timeoutMs, signal });

describe('a waiting room', () => {
  it('lets calls wait for their turn as long as their time allows, first come, first served', async () => {
    const service = slow('');
    const room = waitingRoom('test', { atOnce: 2, mostWaiting: 10 });
    const names = ['a', 'b', 'c', 'd'];
    const all = names.map((name) => room(call(), () => service.ask(name)));
    await expect.poll(() => service.asked).toEqual(['a', 'b']);
    for (const [at, one] of all.entries()) {
      service.answer();
      await one;
      await expect.poll(() => service.asked).toEqual(names.slice(0, at + 3));
    }
  });

  it('refuses with a time to come back when too many wait, or when the time was too short', async () => {
    const service = slow('');
    const room = waitingRoom('test', { atOnce: 1, mostWaiting: 1 });
    void room(call(), () => service.ask('first'));
    const short = room(call(undefined, 50), () => service.ask('short'));
    const refusal = { code: 'overloaded', retryAfterMs: 1_000 };
    await expect(room(call(), () => service.ask('more'))).rejects.toMatchObject(refusal);
    await expect(short).rejects.toMatchObject(refusal);
    expect(service.asked).toEqual(['first']);
  });

  it('forgets who went while they waited', async () => {
    const service = slow('');
    const room = waitingRoom('test', { atOnce: 1, mostWaiting: 5 });
    const first = room(call(), () => service.ask('first'));
    const gone = new AbortController();
    const waiting = room(call(gone.signal), () => service.ask('gone'));
    const next = room(call(), () => service.ask('next'));
    gone.abort(new AppError('cancelled'));
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
    await expect.poll(() => service.asked).toEqual(['first']);
    service.answer();
    await first;
    await expect.poll(() => service.asked).toEqual(['first', 'next']);
    service.answer();
    await next;
  });
});

describe('shared reads', () => {
  it('are one for the devices of a person that want the same, and each person has their own', async () => {
    const service = slow<syncV1.ReadEventsResponse>({ epoch: 'e', head: 1, floor: 1, events: [] });
    const readEvents = ({ after }: syncV1.ReadEventsRequest) => service.ask(String(after));
    const read = sharedReads({ readEvents }, waitingRoom('test'));
    const page = (after: number) => ({ space: 's', epoch: 'e', after, limit: 10 });
    const reads = ['ann', 'ann', 'bob'].map((user) => read(user, page(1), call()));
    reads.push(read('ann', page(2), call()));
    await expect.poll(() => service.asked).toEqual(['1', '1', '2']);
    for (const _ of reads) service.answer();
    await Promise.all(reads);
    // What is read later is read anew.
    const later = read('ann', page(1), call());
    await expect.poll(() => service.asked).toHaveLength(4);
    service.answer();
    await later;
  });
});

describe('a shared read that comes to the end of its time', () => {
  const page = { space: 's', epoch: 'e', after: 1, limit: 10 };
  const answer: syncV1.ReadEventsResponse = { epoch: 'e', head: 1, floor: 1, events: [] };
  const reading = () => {
    const asked: PromiseWithResolvers<syncV1.ReadEventsResponse>[] = [];
    const readEvents = () => {
      asked.push(Promise.withResolvers());
      return asked.at(-1)?.promise ?? Promise.reject(new Error('bug: just made'));
    };
    return { asked, read: sharedReads({ readEvents }, waitingRoom('test')) };
  };

  it.each(['deadline_exceeded', 'overloaded'] as const)(
    'with %s is read again for who has more',
    async (code) => {
      const { asked, read } = reading();
      const first = read('ann', page, call(undefined, 10_000));
      const joined = [read('ann', page, call()), read('ann', page, call())];
      await expect.poll(() => asked).toHaveLength(1);
      asked[0]?.reject(new AppError(code));
      await expect(first).rejects.toMatchObject({ code });
      await expect.poll(() => asked).toHaveLength(2);
      asked[1]?.resolve(answer);
      expect(await Promise.all(joined)).toEqual([answer, answer]);
    },
  );

  it('is over for who has no more, and so is one that was refused', async () => {
    const { asked, read } = reading();
    const short = [read('ann', page, call()), read('ann', page, call(undefined, 10_000))];
    await expect.poll(() => asked).toHaveLength(1);
    asked[0]?.reject(new AppError('deadline_exceeded'));
    const late = { status: 'rejected', reason: { code: 'deadline_exceeded' } };
    expect(await Promise.allSettled(short)).toMatchObject([late, late]);
    const refused = [read('ann', page, call(undefined, 10_000)), read('ann', page, call())];
    await expect.poll(() => asked).toHaveLength(2);
    asked[1]?.reject(new AppError('forbidden'));
    const refusal = { status: 'rejected', reason: { code: 'forbidden' } };
    expect(await Promise.allSettled(refused)).toMatchObject([refusal, refusal]);
    expect(asked).toHaveLength(2);
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
