import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Harness, startLive, tokenOf } from './harness.ts';

describe('the times of a socket', () => {
  let live: Harness;
  afterEach(() => live.stop());

  describe('with a short ping', () => {
    beforeEach(async () => {
      live = await startLive({}, { PING_MS: 30 });
    });

    it('pings as often as it says, and keeps who answers', async () => {
      const ann = live.hello('ann');
      let pings = 0;
      ann.ws.on('ping', () => {
        pings += 1;
      });
      expect(await ann.first('welcome')).toMatchObject({ pingMs: 30 });
      await expect.poll(() => pings).toBeGreaterThan(2);
      expect(ann.closed).toBeUndefined();
    });
  });

  it('ends a socket whose token is over and past its grace with 4001, unless it was renewed', async () => {
    live = await startLive({ graceMs: 10_000 });
    live.verifier.expiresAtMs = Date.now() + 20_000;
    const over = live.hello('ann');
    const renewed = live.hello('bob');
    expect(await over.first('welcome')).toMatchObject({ authExpiresAt: live.verifier.expiresAtMs });
    await renewed.first('welcome');
    live.verifier.expiresAtMs = Date.now() + 3_600_000;
    renewed.send({ type: 'auth', id: 1, token: tokenOf('bob') });
    await renewed.first('result', { id: 1 });
    live.pass(20_000);
    over.send({ type: 'ping' });
    await over.first('pong');
    live.pass(10_500);
    renewed.send({ type: 'ping' });
    expect(await over.closeCode()).toBe(4001);
    await renewed.first('pong');
    expect(renewed.closed).toBeUndefined();
  });

  it('ends a socket that has been silent for two pings and five seconds', async () => {
    live = await startLive();
    const silent = live.hello('ann');
    const loud = live.hello('bob');
    await Promise.all([silent.first('welcome'), loud.first('welcome')]);
    // A line that is cut without a word: nothing is read and nothing answered.
    silent.ws.pause();
    live.pass(50_000);
    loud.send({ type: 'ping' });
    await loud.first('pong');
    live.pass(5_100);
    await expect.poll(() => live.live.connectedDevices('ann')).toEqual([]);
    loud.send({ type: 'ping' });
    await loud.first('pong');
    expect(loud.closed).toBeUndefined();
  });

  it('does what was sent although the sender has gone', async () => {
    live = await startLive();
    const ann = live.hello('ann');
    await ann.first('welcome');
    let arrived = () => {};
    const asked = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const append = live.mesh.sync.appendMessage;
    let cancelled: boolean | undefined;
    let gone = () => {};
    const left = new Promise<void>((resolve) => {
      gone = resolve;
    });
    live.mesh.sync.appendMessage = async (request, ctx) => {
      arrived();
      await left;
      cancelled = ctx.signal.aborted;
      if (!append) throw new Error('the space log appends');
      return append(request, ctx);
    };
    ann.send({ type: 'message', id: 1, space: 'personal', clientMessageId: 'c1', text: 'hi' });
    await asked;
    ann.cut();
    await expect.poll(() => live.sync.commands.at(-1)?.$case).toBe('detach');
    gone();
    await expect.poll(() => live.sync.get('space-ann').events.length).toBe(1);
    expect(cancelled).toBe(false);
  });
});
