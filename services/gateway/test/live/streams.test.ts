import { AppError } from '@skein/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Harness, startLive, tokenOf } from './harness.ts';
import type { TestFrame } from './test-socket.ts';

interface SseFrame {
  readonly id: string | undefined;
  readonly frame: TestFrame;
}

/** An SSE client that keeps what it gets. */
const openStream = async (live: Harness, query: string, headers: Readonly<Record<string, string>> = {}) => {
  const abort = new AbortController();
  const response = await fetch(`${live.url}/v1/stream?${query}`, {
    headers: { authorization: `Bearer ${tokenOf('ann')}`, ...headers },
    signal: abort.signal,
  });
  const frames: SseFrame[] = [];
  const comments: string[] = [];
  let ended = false;
  const read = async () => {
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk as Uint8Array, { stream: true });
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) {
        const lines = block.split('\n');
        const field = (name: string) =>
          lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
        if (lines.every((line) => line.startsWith(':'))) comments.push(block);
        else frames.push({ id: field('id')[0], frame: JSON.parse(field('data').join('\n')) as TestFrame });
      }
    }
    ended = true;
  };
  if (response.ok) read().catch(() => {});
  return {
    ...{ response, frames, comments },
    ended: () => ended,
    of: (type: string) => frames.filter(({ frame }) => frame.type === type),
    first: async (type: string, match: Readonly<Record<string, unknown>> = {}): Promise<SseFrame> => {
      const find = () =>
        frames.find(
          ({ frame }) =>
            frame.type === type && Object.entries(match).every(([key, value]) => frame[key] === value),
        );
      await expect.poll(find, { timeout: 5_000, interval: 5 }).toBeDefined();
      return find() as SseFrame;
    },
    close: () => abort.abort(),
  };
};

interface PollAnswer {
  readonly cursor: string;
  readonly frames: readonly TestFrame[];
}

const poll = async (live: Harness, query: string): Promise<PollAnswer> => {
  const response = await fetch(`${live.url}/v1/poll?${query}`, {
    headers: { authorization: `Bearer ${tokenOf('ann')}` },
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as PollAnswer;
};

const streamsOf = (streams: unknown): string => Buffer.from(JSON.stringify(streams)).toString('base64url');

let live: Harness;
beforeEach(async () => {
  live = await startLive({ heartbeatMs: 60 });
});
afterEach(() => live.stop());

describe('GET /v1/stream', () => {
  it('comes whole or not at all, as polls do: a space that is away for now stays in the positions', async () => {
    live.sync.space('team', ['ann']);
    const both = streamsOf([{ space: 'personal' }, { space: 'team', epoch: 'e1', offset: 0 }]);
    live.sync.unreadable.add('team');
    expect((await openStream(live, `device=sse&streams=${both}`)).response.status).toBe(503);
    await expect(poll(live, `device=p&streams=${both}`)).rejects.toThrow('503');
    live.sync.unreadable.clear();
    const { cursor } = await poll(live, `device=p&streams=${both}`);
    const again = await openStream(live, `device=sse&cursor=${cursor}`);
    const { streams } = (await again.first('welcome')).frame as unknown as { streams: { space: string }[] };
    expect(streams.map(({ space }) => space)).toEqual(['space-ann', 'team']);
    again.close();
  });

  it('sends welcome with a ticket, then the frames a socket gets, with ids on all that move a position', async () => {
    const stream = await openStream(live, 'device=sse');
    expect(stream.response.headers.get('content-type')).toContain('text/event-stream');
    expect(stream.response.headers.get('x-accel-buffering')).toBe('no');
    const socket = live.hello('ann', { device: { id: 'ws', platform: 'web' } });
    await socket.first('welcome');
    expect((await stream.first('welcome')).frame).toMatchObject({
      ...{ user: 'ann', device: 'sse', reconnect: { ticket: 'next-ticket' } },
      streams: [{ space: 'space-ann', offset: 0, recovered: true }],
    });
    live.sync.append('space-ann', 'turn.started', { turnId: 't', messageId: 'm-t', conversationId: 'c' });
    live.sync.tokens('space-ann', 't', 0, 'Hi');
    live.sync.append('space-ann', 'message.completed', { turnId: 't', text: 'Hi' });
    await socket.first('event', { offset: 2 });
    await stream.first('event', { offset: 2 });
    expect(stream.frames.slice(1).map(({ frame }) => frame)).toEqual(socket.frames.slice(1));
    expect(stream.frames.map(({ frame, id }) => [frame.type, id !== undefined])).toEqual([
      ['welcome', true],
      ['event', true],
      ['token', false],
      ['event', true],
    ]);
    stream.close();
  });

  it('resumes behind the last id, whether it comes as header or as cursor, and acknowledges it', async () => {
    const first = await openStream(live, 'device=sse');
    await first.first('welcome');
    for (let at = 0; at < 4; at += 1) live.sync.append('space-ann', 'message.created');
    const { id = '' } = await first.first('event', { offset: 2 });
    first.close();
    for (const second of [
      await openStream(live, 'device=sse', { 'last-event-id': id }),
      await openStream(live, `device=sse&cursor=${id}`),
    ]) {
      await second.first('event', { offset: 4 });
      expect(second.of('event').map(({ frame }) => frame['offset'])).toEqual([3, 4]);
      second.close();
    }
    await expect.poll(() => live.sync.acks.at(0)).toMatchObject({ deviceId: 'sse', offset: 2, epoch: 'e1' });
  });

  it('asks for the snapshot again when it was cut after welcome or at a new epoch', async () => {
    live.sync.append(live.sync.personal('ann').id, 'message.created');
    const lost = streamsOf([{ space: 'personal', epoch: 'e0', offset: 1 }]);
    const first = await openStream(live, `device=sse&streams=${lost}`);
    const { id: atWelcome = '' } = await first.first('welcome');
    await first.first('snapshot', { part: 2 });
    live.sync.reanchor('space-ann', 'e2');
    const { id: atRestart = '' } = await first.first('subscribed', { epoch: 'e2' });
    first.close();
    for (const id of [atWelcome, atRestart]) {
      const again = await openStream(live, `device=sse&cursor=${id}`);
      expect((await again.first('welcome')).frame).toMatchObject({ streams: [{ recovered: false }] });
      again.close();
    }
  });

  it('asks for the snapshot again when it was cut before its last part', async () => {
    live.sync.append(live.sync.personal('ann').id, 'message.created');
    const first = await openStream(live, `device=sse&streams=${streamsOf([{ space: 'personal' }])}`);
    const { id = '' } = await first.first('snapshot', { part: 1 });
    const done = await first.first('snapshot', { part: 2 });
    first.close();
    const again = await openStream(live, `device=sse&cursor=${id}`);
    expect((await again.first('welcome')).frame).toMatchObject({ streams: [{ recovered: false }] });
    await again.first('snapshot', { part: 2 });
    again.close();
    const on = await openStream(live, `device=sse&cursor=${done.id}`);
    expect((await on.first('welcome')).frame).toMatchObject({ streams: [{ recovered: true }] });
    on.close();
  });

  it('sends comments when there is nothing to say', async () => {
    const stream = await openStream(live, 'device=sse');
    await expect.poll(() => stream.comments.length).toBeGreaterThan(1);
    stream.close();
  });

  it('says why it ends and ends: a revoked login', async () => {
    const stream = await openStream(live, 'device=sse');
    await stream.first('welcome');
    live.verifier.revoke('sid-ann');
    expect((await stream.first('close')).frame).toMatchObject({ code: 4001 });
    await expect.poll(stream.ended).toBe(true);
  });

  it.each([
    ['no credentials', 'device=d', { authorization: '' }, 401],
    ['a used ticket', 'device=d&ticket=used', { authorization: '' }, 401],
    ['no device', '', {}, 400],
    ['a broken cursor', 'device=d&cursor=abc', {}, 400],
    ['a broken id', 'device=d', { 'last-event-id': 'W10x' }, 400],
  ])('answers %s plainly', async (_, query, headers, status) => {
    live.mesh.auth.redeemTicket = async () => {
      throw new AppError('ticket_invalid');
    };
    const given = Object.entries(headers).filter(([, value]) => value !== '');
    const base = 'authorization' in headers ? {} : { authorization: `Bearer ${tokenOf('ann')}` };
    const response = await fetch(`${live.url}/v1/stream?${query}`, {
      headers: { ...base, ...Object.fromEntries(given) },
    });
    expect(response.status).toBe(status);
  });
});

describe('GET /v1/poll', () => {
  it('answers at once with welcome and a cursor, then with what came since', async () => {
    const first = await poll(live, 'device=p');
    expect(first.frames).toMatchObject([{ type: 'welcome', user: 'ann', device: 'p' }]);
    live.sync.append('space-ann', 'message.created', { text: 'one' });
    live.sync.append('space-ann', 'message.created', { text: 'two' });
    const second = await poll(live, `device=p&waitMs=5000&cursor=${first.cursor}`);
    expect(second.frames.map(({ type, offset }) => [type, offset])).toEqual([
      ['event', 1],
      ['event', 2],
    ]);
    const third = poll(live, `device=p&waitMs=5000&cursor=${second.cursor}`);
    await expect.poll(() => live.sync.acks.at(-1)?.offset).toBe(2);
    live.sync.append('space-ann', 'message.created', { text: 'three' });
    expect((await third).frames.map(({ offset }) => offset)).toEqual([3]);
  });

  it('has a check with a replay, once a minute for a device', async () => {
    live.sync.tellsHashes = true;
    const { cursor } = await poll(live, 'device=p');
    live.sync.append('space-ann', 'document.changed');
    const socket = live.hello('ann', { streams: [{ space: 'space-ann', epoch: 'e1', offset: 0 }] });
    await socket.first('check');
    const again = async () =>
      (await poll(live, `device=p&waitMs=5000&cursor=${cursor}`)).frames.map(({ type }) => type);
    expect(await again()).toEqual(['event', 'check']);
    expect(await again()).toEqual(['event']);
    live.pass(60_000);
    expect(await again()).toEqual(['event', 'check']);
  });

  it('answers empty with the same position when the time is over', async () => {
    const first = await poll(live, 'device=p');
    const second = await poll(live, `device=p&waitMs=30&cursor=${first.cursor}`);
    expect(second).toEqual({ cursor: first.cursor, frames: [] });
  });

  it('ends the older poll of a device empty when a newer one comes', async () => {
    const { cursor } = await poll(live, 'device=p');
    const older = poll(live, `device=p&waitMs=20000&cursor=${cursor}`);
    await expect.poll(() => live.live.connectedDevices('ann').length).toBe(1);
    const newer = poll(live, `device=p&waitMs=20000&cursor=${cursor}`);
    expect((await older).frames).toEqual([]);
    live.sync.append('space-ann', 'message.created');
    expect((await newer).frames).toHaveLength(1);
  });

  it('answers a replaced poll with the position it asked from, whatever it had already collected', async () => {
    live.sync.append(live.sync.personal('ann').id, 'message.created');
    live.sync.space('team', ['ann']);
    // A snapshot that does not come keeps the poll open behind the event it has.
    const { promise: gate, resolve: letGo } = Promise.withResolvers<void>();
    const { readSnapshot } = live.sync.script();
    live.mesh.sync.readSnapshot = async function* (request, ctx) {
      await gate;
      yield* readSnapshot?.(request, ctx) ?? [];
    };
    const cursor = streamsOf([
      ['space-ann', 'e1', 0, ''],
      ['team', '', 0, ''],
    ]);
    const older = poll(live, `device=p&waitMs=5000&cursor=${cursor}`);
    await expect.poll(() => live.mesh.calls('readSnapshot').length).toBe(1);
    const newer = poll(live, `device=p&waitMs=5000&cursor=${cursor}`);
    expect(await older).toEqual({ cursor, frames: [] });
    letGo();
    expect((await newer).frames.map(({ type }) => type)).toContain('event');
  });

  it('brings a lost position to a whole snapshot in one answer', async () => {
    live.sync.append(live.sync.personal('ann').id, 'message.created');
    live.sync.parts = 4;
    const cursor = streamsOf([['space-ann', 'e0', 5, '']]);
    const answer = await poll(live, `device=p&waitMs=1000&cursor=${cursor}`);
    expect(answer.frames.map(({ type }) => type)).toEqual(['subscribed', ...Array(4).fill('snapshot')]);
    live.sync.append('space-ann', 'message.created');
    const next = await poll(live, `device=p&waitMs=1000&cursor=${answer.cursor}`);
    expect(next.frames.map(({ type, offset }) => [type, offset])).toEqual([['event', 2]]);
  });

  it('gives the running answer as one token from its beginning', async () => {
    const { cursor } = await poll(live, 'device=p');
    const answer = poll(live, `device=p&waitMs=20000&cursor=${cursor}`);
    await expect.poll(() => live.live.connectedDevices('ann').length).toBe(1);
    live.sync.append('space-ann', 'turn.started', { turnId: 't', messageId: 'm-t', conversationId: 'c' });
    live.sync.tokens('space-ann', 't', 0, 'Hel');
    live.sync.tokens('space-ann', 't', 3, 'lo');
    const first = await answer;
    expect(first.frames.at(0)).toMatchObject({ type: 'event' });
    const second = poll(live, `device=p&waitMs=20000&cursor=${first.cursor}`);
    live.sync.tokens('space-ann', 't', 5, '!');
    expect((await second).frames).toMatchObject([{ type: 'token', from: 0, text: 'Hello!' }]);
  });

  it('pages through a long replay without a gap', async () => {
    live.sync.personal('ann');
    const text = 'x'.repeat(60_000);
    for (let at = 0; at < 40; at += 1) live.sync.append('space-ann', 'message.created', { text });
    let cursor = streamsOf([['space-ann', 'e1', 0, '']]);
    const offsets: number[] = [];
    let answers = 0;
    while (offsets.length < 40) {
      const answer = await poll(live, `device=p&waitMs=2000&cursor=${cursor}`);
      cursor = answer.cursor;
      answers += 1;
      offsets.push(
        ...answer.frames.filter(({ type }) => type === 'event').map(({ offset }) => Number(offset)),
      );
    }
    expect(offsets).toEqual(Array.from({ length: 40 }, (_, at) => at + 1));
    expect(answers).toBeGreaterThan(1);
  });
});

describe('the limits of streams', () => {
  it('charge people who are signed in for themselves, whatever others at their address do', async () => {
    await live.stop();
    live = await startLive({}, { ANONYMOUS_PER_SECOND: 1, REQUESTS_PER_SECOND: 5 });
    const ask = async (token: string) =>
      (await fetch(`${live.url}/v1/poll?device=d`, { headers: { authorization: `Bearer ${token}` } })).status;
    // Nobody yet: two at once, then no more.
    expect([await ask('forged'), await ask('forged'), await ask('forged')]).toEqual([401, 401, 429]);
    expect(await ask(tokenOf('ann'))).toBe(200);
    const many = await Promise.all(Array.from({ length: 15 }, () => ask(tokenOf('ann'))));
    expect(many).toContain(429);
    expect(await ask(tokenOf('bob'))).toBe(200);
  });

  it('take a longer list of positions than fits into a cursor', async () => {
    const streams = Array.from({ length: 60 }, (_, n) => ({ space: `space-${'x'.repeat(60)}-${n}` }));
    const { frames } = await poll(live, `device=d&streams=${streamsOf(streams)}`);
    expect(frames[0]).toMatchObject({ type: 'welcome' });
    expect(frames[0]?.['streams']).toHaveLength(60);
  });
});
