import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Harness, startLive, tokenOf } from './harness.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Masks with zeros: the payload stays readable. */
const clientFrame = (json: string): Buffer => {
  const payload = Buffer.from(json);
  const header = Buffer.alloc(8);
  header[0] = 0x81;
  header[1] = 0x80 | 126;
  header.writeUInt16BE(payload.length, 2);
  return Buffer.concat([header, payload]);
};

/** A device that says hello and then reads nothing until told to. */
const sleepy = async (live: Harness, user: string, id: string): Promise<Socket> => {
  const socket = connect(live.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(
    `GET /v1/connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
  );
  const hello = { type: 'hello', v: 1, token: tokenOf(user), device: { id, platform: 'web' } };
  socket.write(clientFrame(JSON.stringify(hello)));
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

/** Everything a socket still sends, until it says goodbye. */
const drain = async (socket: Socket): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  await new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      if (chunk.subarray(-60).toString('latin1').endsWith('"retryAfterMs":[500,5000]}')) socket.destroy();
    });
    socket.once('close', () => resolve());
    socket.resume();
  });
  return Buffer.concat(chunks);
};

describe('a slow reader', () => {
  let live: Harness;
  const budgetBytes = 200_000;
  beforeEach(async () => {
    live = await startLive({ budgetBytes, stallMs: 60_000 });
  });
  afterEach(() => live.stop());

  it('is closed with 4011 at its budget, whole frames only, while others get everything', {
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
    const bytes = await drain(slow);
    // A close frame: 0x88, length, then the code.
    const close = bytes.lastIndexOf(Buffer.from([0x0f, 0xab]));
    expect(close).toBeGreaterThan(0);
    expect(bytes[close - 2]).toBe(0x88);
    expect(JSON.parse(bytes.subarray(close + 2).toString())).toEqual({ retryAfterMs: [500, 5_000] });
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
    // 50 MB went through to each.
    expect(most).toBeLessThan(5 * (budgetBytes + 10 * 60_000));
    const grown = () => {
      collectGarbage();
      return process.memoryUsage().arrayBuffers - before;
    };
    await expect.poll(grown, { timeout: 5_000 }).toBeLessThan(12_000_000);
    for (const one of slow) one.destroy();
  });

  it('gets the tokens it was spared as one, and the newest presence', { timeout: 30_000 }, async () => {
    const slow = await sleepy(live, 'ann', 'slow');
    const quick = live.hello('ann', { device: { id: 'quick', platform: 'web' } });
    await quick.first('welcome');
    live.sync.append('space-ann', 'turn.started', { turnId: 't', messageId: 'm-t', conversationId: 'c' });
    // Fill what the kernel takes, so that frames wait with us, but not up to the budget.
    const big = 'x'.repeat(100_000);
    let filled = 1;
    const queued = () => live.live.queuedBytes('ann');
    while (queued() < 80_000) {
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

describe('a replay', () => {
  it('of more than the budget comes at the pace of its reader, who is not cut for it', {
    timeout: 30_000,
  }, async () => {
    const live = await startLive({ budgetBytes: 200_000, lowBytes: 50_000, ringBytes: 50_000_000 });
    try {
      const first = live.hello('ann', { device: { id: 'first', platform: 'web' } });
      await first.first('welcome');
      const text = 'x'.repeat(100_000);
      for (let at = 1; at <= 100; at += 1) {
        live.sync.append('space-ann', 'message.created', { text });
        await first.first('event', { offset: at });
      }
      const second = live.hello('ann', { streams: [{ space: 'space-ann', epoch: 'e1', offset: 0 }] });
      await second.first('event', { offset: 100 });
      expect(second.offsets).toEqual(Array.from({ length: 100 }, (_, at) => at + 1));
      expect(live.sync.reads).toHaveLength(0);
      expect(second.closed).toBeUndefined();
    } finally {
      await live.stop();
    }
  });
});

describe('a reader that stands still', () => {
  it('is cut when nothing moves for the time allowed', { timeout: 30_000 }, async () => {
    const live = await startLive({ budgetBytes: 50_000_000, stallMs: 100 });
    try {
      const slow = await sleepy(live, 'ann', 'slow');
      const ended = new Promise<void>((resolve) => slow.once('close', () => resolve()));
      const text = 'x'.repeat(900_000);
      for (let at = 1; at <= 12; at += 1) live.sync.append('space-ann', 'message.created', { text });
      await expect.poll(() => live.sync.commands.at(-1)?.$case, { timeout: 10_000 }).toBe('detach');
      slow.resume();
      await ended;
    } finally {
      await live.stop();
    }
  });
});
