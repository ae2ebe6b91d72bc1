import { afterEach, beforeEach, expect, it } from 'vitest';
import type { TurnStep } from '../../src/ports.ts';
import { type Harness, startLive } from './harness.ts';

let live: Harness;
beforeEach(async () => {
  live = await startLive();
  live.sync.personal('ann');
});
afterEach(() => live.stop());

const collect = (turnId: string, signal: AbortSignal) => {
  const steps: TurnStep[] = [];
  const done = (async () => {
    for await (const step of live.live.watchTurn('space-ann', turnId, signal)) steps.push(step);
  })();
  return { steps, done };
};

it('gives the steps of one turn from following to its end, and nothing of others', async () => {
  const { steps, done } = collect('t', AbortSignal.timeout(10_000));
  await expect.poll(() => steps).toEqual([{ kind: 'following' }]);
  for (const turnId of ['other', 't'])
    live.sync.append('space-ann', 'turn.started', { turnId, messageId: `m-${turnId}`, conversationId: 'c' });
  live.sync.tokens('space-ann', 'other', 0, 'no');
  live.sync.tokens('space-ann', 't', 0, 'Hi');
  live.sync.append('space-ann', 'message.completed', { turnId: 'other', text: 'no' });
  live.sync.append('space-ann', 'turn.cancelled', {
    ...{ turnId: 't', messageId: 'm-t', conversationId: 'c', text: 'Hi' },
  });
  await done;
  expect(steps).toEqual([
    { kind: 'following' },
    { kind: 'token', messageId: 'm-t', from: 0, text: 'Hi' },
    { kind: 'end', outcome: 'cancelled', messageId: 'm-t', conversationId: 'c', text: 'Hi' },
  ]);
});

it('says following again after the line to session-sync was cut', async () => {
  const { steps, done } = collect('t', AbortSignal.timeout(10_000));
  await expect.poll(() => steps.length).toBe(1);
  live.sync.breakStreams();
  await expect.poll(() => steps).toEqual([{ kind: 'following' }, { kind: 'following' }]);
  live.sync.append('space-ann', 'message.completed', { turnId: 't', text: 'done' });
  await done;
});

it('throws the reason of its signal', async () => {
  const abort = new AbortController();
  const { steps, done } = collect('t', abort.signal);
  await expect.poll(() => steps.length).toBe(1);
  abort.abort(new Error('enough'));
  await expect(done).rejects.toThrow('enough');
});
