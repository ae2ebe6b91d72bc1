import { connect, type Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Harness, startLive, tokenOf } from './harness.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** A device that opens an event stream and then reads nothing until told to. */
const sleepy = async (live: Harness, user: string, id: string): Promise<Socket> => {
  const socket = connect(live.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(
    `GET /v1/stream?device=${id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenOf(user)}\r\n\r\n`,
  );
  await new Promise<void>((resolve) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.includes('"type":"welcome"')) resolve();
    });
  });
  socket.removeAllListeners('data');
  socket.pause();
  return socket;
};

/** Everything a socket still sends, until the other side ends it. */
const drain = async (socket: Socket): Promise<string> => {
  const chunks: Buffer[] = [];
  await new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.once('close', () => resolve());
    socket.resume();
  });
  return Buffer.concat(chunks).toString('latin1');
};

const idsOf = (text: string): string[] => [...text.matchAll(/^id: (\S+)$/gm)].map((one) => one[1] ?? '');
const offsetsOf = (text: string): number[] =>
  [...text.matchAll(/"type":"event","space":"[^"]*","epoch":"[^"]*","offset":(\d+)/g)].map((one) =>
    Number(one[1]),
  );

describe('a slow reader of an event stream', () => {
  let live: Harness;
  const budgetBytes = 200_000;
  beforeEach(async () => {
    live = await startLive({ budgetBytes, lowBytes: 50_000, stallMs: 60_000 });
  });
  afterEach(() => live.stop());

  it('is cut at its budget and goes on from its last id without a gap, while others get everything', {
    timeout: 30_000,
  }, async () => {
    const slow = await sleepy(live, 'ann', 'slow');
    const quick = live.hello('ann', { device: { id: 'quick', platform: 'web' } });
    await quick.first('welcome');
    const text = 'x'.repeat(100_000);
    // Loopback buffers of the kernel hold some megabytes before ours fill.
    for (let at = 1; at <= 150; at += 1) {
      live.sync.append('space-ann', 'message.created', { text });
      if (at % 10 === 0) await quick.first('event', { offset: at });
    }
    expect(quick.offsets).toEqual(Array.from({ length: 150 }, (_, at) => at + 1));
    const received = await drain(slow);
    const whole = received.slice(0, received.lastIndexOf('\n\n') + 2);
    const offsets = offsetsOf(whole);
    expect(offsets).toEqual(Array.from({ length: offsets.length }, (_, at) => at + 1));
    expect(offsets.length).toBeGreaterThan(0);
    expect(offsets.length).toBeLessThan(150);
    const abort = new AbortController();
    const again = await fetch(`${live.url}/v1/stream?device=slow`, {
      headers: { authorization: `Bearer ${tokenOf('ann')}`, 'last-event-id': idsOf(whole).at(-1) ?? '' },
      signal: abort.signal,
    });
    let rest = '';
    const decoder = new TextDecoder();
    for await (const chunk of again.body ?? []) {
      rest += decoder.decode(chunk as Uint8Array, { stream: true });
      if (rest.includes('"offset":150,"event"')) break;
    }
    abort.abort();
    const missed = offsetsOf(rest);
    expect(missed[0]).toBe(offsets.length + 1);
    expect([...offsets, ...missed]).toEqual(Array.from({ length: 150 }, (_, at) => at + 1));
  });

  it('costs no more memory than its budget and one frame', { timeout: 30_000 }, async () => {
    const slow = await Promise.all(Array.from({ length: 5 }, (_, at) => sleepy(live, 'ann', `slow-${at}`)));
    const quick = live.hello('ann', { device: { id: 'quick', platform: 'web' } });
    await quick.first('welcome');
    collectGarbage();
    const before = process.memoryUsage().arrayBuffers;
    const text = 'x'.repeat(50_000);
    let most = 0;
    for (let at = 1; at <= 1_000; at += 1) {
      live.sync.append('space-ann', 'message.created', { text });
      most = Math.max(most, live.live.queuedBytes('ann'));
      if (at % 10 === 0) {
        await quick.first('event', { offset: at });
        quick.frames.length = 0;
      }
    }
    expect(live.live.connectedDevices('ann').map(({ id }) => id)).toEqual(['quick']);
    expect(most).toBeLessThan(5 * (budgetBytes + 10 * 60_000));
    const grown = () => {
      collectGarbage();
      return process.memoryUsage().arrayBuffers - before;
    };
    // 50 MB went by each of them.
    await expect.poll(grown, { timeout: 5_000 }).toBeLessThan(12_000_000);
    for (const one of slow) one.destroy();
  });

  it('gets the tokens it was spared as one', { timeout: 30_000 }, async () => {
    const slow = await sleepy(live, 'ann', 'slow');
    const quick = live.hello('ann', { device: { id: 'quick', platform: 'web' } });
    await quick.first('welcome');
    live.sync.append('space-ann', 'turn.started', { turnId: 't', messageId: 'm-t', conversationId: 'c' });
    // Fill what the kernel takes, so that frames wait with us, but not up to the budget.
    const big = 'x'.repeat(100_000);
    let filled = 1;
    while (live.live.queuedBytes('ann') < 80_000) {
      filled += 1;
      live.sync.append('space-ann', 'message.created', { text: big });
      await quick.first('event', { offset: filled });
    }
    for (let at = 0; at < 50; at += 1)
      live.sync.tokens('space-ann', 't', at * 4, `${String(at).padStart(3, '0')},`);
    await quick.first('token', { from: 49 * 4 });
    const received: string[] = [];
    slow.on('data', (chunk: Buffer) => received.push(chunk.toString('latin1')));
    slow.resume();
    const tokens = () => [...received.join('').matchAll(/"from":(\d+),"text":"([^"]*)"/g)];
    await expect.poll(() => tokens().length, { timeout: 10_000 }).toBeGreaterThan(0);
    const all = tokens();
    expect(all.length).toBeLessThan(50);
    expect(Number(all[0]?.[1])).toBe(0);
    expect(all.map((one) => one[2]).join('')).toContain('048,049,');
    slow.destroy();
  });
});

describe('a reader of an event stream that stands still', () => {
  const text = 'x'.repeat(900_000);
  const fill = (live: Harness) => {
    for (let at = 1; at <= 12; at += 1) live.sync.append('space-ann', 'message.created', { text });
  };
  const isGone = (live: Harness) =>
    expect.poll(() => live.live.connectedDevices('ann'), { timeout: 10_000 }).toEqual([]);

  it('is cut when nothing moves for the time allowed, and no sooner', { timeout: 30_000 }, async () => {
    const live = await startLive({ budgetBytes: 50_000_000, stallMs: 20_000 });
    try {
      const slow = await sleepy(live, 'ann', 'slow');
      fill(live);
      await expect.poll(() => live.live.queuedBytes('ann')).toBeGreaterThan(1_000_000);
      // A round of the sweeper has seen it stand: others that come later are in a later round.
      const rounds = live.hello('bob');
      await rounds.first('welcome');
      live.pass(10_000);
      rounds.send({ type: 'ack', space: 'space-bob', offset: 0 });
      await expect.poll(() => live.sync.acks.length).toBe(1);
      expect(live.live.connectedDevices('ann')).toHaveLength(1);
      live.pass(10_500);
      await isGone(live);
      // What the kernel had is still there; then the line is cut, not ended.
      expect(await drain(slow)).not.toContain('"type":"close"');
    } finally {
      await live.stop();
    }
  });

  it('does not keep a stream from ending that says goodbye', { timeout: 30_000 }, async () => {
    const live = await startLive({ budgetBytes: 50_000_000, stallMs: 100 });
    try {
      const slow = await sleepy(live, 'ann', 'slow');
      fill(live);
      await expect.poll(() => live.live.queuedBytes('ann')).toBeGreaterThan(1_000_000);
      live.verifier.revoke('sid-ann');
      await isGone(live);
      // Without another word being read the socket is let go of.
      await expect.poll(() => live.connections(), { timeout: 10_000 }).toBe(0);
      slow.destroy();
    } finally {
      await live.stop();
    }
  });
});
