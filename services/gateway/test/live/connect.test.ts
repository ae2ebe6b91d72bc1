import { AppError } from '@skein/contracts';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Harness, startLive, tokenOf } from './harness.ts';

describe('/v1/connect', () => {
  let live: Harness;
  beforeEach(async () => {
    live = await startLive();
  });
  afterEach(() => live.stop());

  it('answers hello with welcome and follows every space from its head', async () => {
    live.sync.personal('ann');
    live.sync.append('space-ann', 'message.created', { text: 'before' });
    const ann = live.hello('ann');
    const welcome = await ann.first('welcome');
    expect(welcome).toMatchObject({
      user: 'ann',
      device: 'device-ann',
      streams: [{ space: 'space-ann', epoch: 'e1', offset: 1, recovered: true, lastSeq: 7 }],
      pingMs: 25_000,
      maxFrame: 1_000_000,
      maxInflight: 64,
    });
    live.sync.append('space-ann', 'message.created', { text: 'after' });
    expect(await ann.first('event')).toMatchObject({
      space: 'space-ann',
      epoch: 'e1',
      offset: 2,
      event: { type: 'message.created', data: { text: 'after' } },
    });
    expect(ann.offsets).toEqual([2]);
  });

  it('takes a message, answers its id once, and sends event and tokens to every device', async () => {
    const one = live.hello('ann', { device: { id: 'one', platform: 'web' } });
    const two = live.hello('ann', { device: { id: 'two', platform: 'cli' } });
    await Promise.all([one.first('welcome'), two.first('welcome')]);
    one.send({ type: 'message', id: 'a', space: 'personal', clientMessageId: 'c1', text: 'hi' });
    expect(await one.first('result', { id: 'a' })).toMatchObject({
      messageId: 'message-c1',
      turnId: 'turn-c1',
      offset: 1,
    });
    for (const socket of [one, two]) await socket.first('event', { offset: 1 });
    live.sync.append('space-ann', 'turn.started', { turnId: 'turn-c1', messageId: 'm-turn-c1' });
    live.sync.tokens('space-ann', 'turn-c1', 0, 'Hel');
    live.sync.tokens('space-ann', 'turn-c1', 3, 'lo');
    for (const socket of [one, two]) {
      await socket.first('token', { from: 3, text: 'lo' });
      expect(socket.of('token').map(({ text }) => text)).toEqual(['Hel', 'lo']);
    }
    expect(one.of('result')).toHaveLength(1);
  });

  it('gives a late joiner the running answer from the beginning', async () => {
    const early = live.hello('ann', { device: { id: 'early', platform: 'web' } });
    await early.first('welcome');
    live.sync.append('space-ann', 'turn.started', { turnId: 't', messageId: 'm-t', conversationId: 'c' });
    live.sync.tokens('space-ann', 't', 0, 'Grüße 🙂');
    live.sync.tokens('space-ann', 't', 7, ' wie');
    await early.first('token', { from: 7 });
    const late = live.hello('ann', { device: { id: 'late', platform: 'web' } });
    expect(await late.first('token')).toMatchObject({ from: 0, text: 'Grüße 🙂 wie', turnId: 't' });
  });

  it('loads the text of a turn that ran before this gateway followed the space', async () => {
    const space = live.sync.personal('ann');
    space.turns = [{ turnId: 't', messageId: 'm-t', conversationId: 'c' }];
    live.mesh.agent.getTurn = async () => ({
      turn: {
        ...{ id: 't', state: 'streaming', text: 'so far', messageId: 'm-t', conversationId: 'c' },
        space: 'space-ann',
      },
    });
    const ann = live.hello('ann');
    expect(await ann.first('token')).toMatchObject({ from: 0, text: 'so far' });
    live.sync.tokens('space-ann', 't', 6, ', and on');
    await ann.first('token', { from: 6 });
  });

  it('closes an older socket of the same device with 4010', async () => {
    const older = live.hello('ann');
    await older.first('welcome');
    const newer = live.hello('ann');
    await newer.first('welcome');
    expect(await older.closeCode()).toBe(4010);
    live.sync.append('space-ann', 'message.created');
    await newer.first('event');
  });

  it('closes the sockets of a login that was ended with 4001, and no others', async () => {
    const mine = live.hello('ann');
    const other = live.hello('ann', {
      token: tokenOf('ann', 'other-login'),
      device: { id: 'other', platform: 'web' },
    });
    await Promise.all([mine.first('welcome'), other.first('welcome')]);
    live.verifier.revoke('sid-ann');
    expect(await mine.closeCode()).toBe(4001);
    other.send({ type: 'ping', t: 5 });
    expect(await other.first('pong')).toMatchObject({ t: 5 });
  });

  it('unsubscribes a removed member and sends nothing of what comes after', async () => {
    live.sync.space('team', ['ann', 'bob']);
    const ann = live.hello('ann');
    const bob = live.hello('bob');
    await Promise.all([ann.first('welcome'), bob.first('welcome')]);
    live.sync.append('team', 'message.created');
    live.sync.get('team').members.delete('bob');
    live.sync.append('team', 'member.removed', { userId: 'bob' });
    live.sync.append('team', 'message.created', { text: 'secret' });
    expect(await bob.first('unsubscribed')).toMatchObject({ space: 'team', reason: 'not_member' });
    await ann.first('event', { offset: 3 });
    expect(bob.offsets).toEqual([1]);
  });

  it('subscribes a new member unasked', async () => {
    live.sync.space('team', ['ann']);
    const ann = live.hello('ann');
    const bob = live.hello('bob');
    await Promise.all([ann.first('welcome'), bob.first('welcome')]);
    live.sync.get('team').members.add('bob');
    live.sync.append('team', 'member.added', { userId: 'bob', role: 'editor' });
    expect(await bob.first('subscribed')).toMatchObject({ space: 'team', recovered: true });
    live.sync.append('team', 'message.created');
    await bob.first('event', { space: 'team', offset: 2 });
  });

  it('subscribes who was invited into a space that nobody follows here, as the own space tells', async () => {
    const bob = live.hello('bob', { streams: [{ space: 'personal', epoch: 'e1', offset: 0 }] });
    await bob.first('welcome');
    live.sync.space('quiet', ['ann', 'bob']);
    const json = JSON.stringify({ type: 'membership', user: 'bob', space: 'quiet' });
    live.sync.tell('space-bob', { $case: 'ephemeral', value: { space: 'space-bob', json } });
    // A device that named its streams has nothing of the new one: it begins with a snapshot.
    expect(await bob.first('subscribed')).toMatchObject({ space: 'quiet', recovered: false });
    await bob.first('snapshot', { part: 2 });
    live.sync.append('quiet', 'message.created');
    await bob.first('event', { space: 'quiet', offset: 1 });
    expect(bob.of('membership')).toEqual([]);
  });

  it('subscribes a new member who follows another space only', async () => {
    live.sync.space('known', ['bob']);
    const streams = [{ space: 'known', epoch: 'e1', offset: 0 }];
    const bob = live.hello('bob', { streams });
    await bob.first('welcome');
    live.sync.space('quiet', ['ann', 'bob']);
    const json = JSON.stringify({ type: 'membership', user: 'bob', space: 'quiet' });
    await expect.poll(() => [...live.sync.streams].some((one) => one.followed.has('space-bob'))).toBe(true);
    live.sync.tell('space-bob', { $case: 'ephemeral', value: { space: 'space-bob', json } });
    expect(await bob.first('subscribed')).toMatchObject({ space: 'quiet' });
  });

  it('passes typing on to the space, and typing, status and presence frames of the space to all', async () => {
    const ann = live.hello('ann');
    await ann.first('welcome');
    ann.send({ type: 'typing', space: 'personal', conversationId: 'c' });
    const value = { space: 'space-ann', conversationId: 'c', userId: 'ann', deviceId: 'device-ann' };
    await expect.poll(() => live.sync.commands.at(-1)).toEqual({ $case: 'typing', value });
    const json = JSON.stringify({ type: 'status', kind: 'agent', id: 'a', state: 'busy' });
    live.sync.tell('space-ann', { $case: 'ephemeral', value: { space: 'space-ann', json } });
    expect(await ann.first('status')).toEqual({ type: 'status', kind: 'agent', id: 'a', state: 'busy' });
    const device = { id: 'tv', platform: 'tv', name: 'TV' };
    live.sync.tell('space-ann', {
      $case: 'presence',
      value: { space: 'space-ann', devices: [{ userId: 'ann', device, sinceMs: 5 }] },
    });
    expect(await ann.first('presence')).toMatchObject({ devices: [{ user: 'ann', device, since: 5 }] });
  });

  it('answers sync_request with the documents as they are stored, and one result', async () => {
    live.mesh.sync.compareDocuments = async () => ({
      offset: 3,
      documents: [
        {
          ...{ collection: 'task', id: 'd', version: 2, valueJson: '{"b":1.0,"a":2}', hash: 'h' },
          ...{ offset: 3, updatedAtMs: 0 },
        },
      ],
      gone: [{ collection: 'task', id: 'old', version: 4, hash: '' }],
      next: '',
    });
    const ann = live.hello('ann');
    await ann.first('welcome');
    const versions = [{ collection: 'task', id: 'old', version: 1, hash: 'x' }];
    ann.send({ type: 'sync_request', id: 9, space: 'personal', versions });
    expect(await ann.first('sync_response')).toEqual({
      ...{ type: 'sync_response', space: 'space-ann', offset: 3 },
      documents: [{ collection: 'task', id: 'd', version: 2, value: { b: 1, a: 2 }, hash: 'h' }],
      gone: [{ collection: 'task', id: 'old', version: 4 }],
    });
    await ann.first('result', { id: 9 });
  });

  it('counts the documents that a client has otherwise than the server, but not those it has not yet', async () => {
    const document = (id: string) => ({
      ...{ collection: 'task', id, version: 3, valueJson: '1', hash: 'ours', offset: 3, updatedAtMs: 0 },
    });
    live.mesh.sync.compareDocuments = async () => ({
      ...{ offset: 3, documents: ['same', 'above', 'older', 'unknown'].map(document), gone: [], next: '' },
    });
    const counted = () => Number(/gateway_divergent_documents_total (\d+)/.exec(live.metrics())?.[1] ?? 0);
    const before = counted();
    const ann = live.hello('ann');
    await ann.first('welcome');
    const version = (id: string, version: number) => ({ collection: 'task', id, version, hash: 'theirs' });
    const versions = [version('same', 3), version('above', 4), version('older', 2)];
    ann.send({ type: 'sync_request', id: 1, space: 'personal', versions });
    await ann.first('result', { id: 1 });
    expect((await ann.first('sync_response'))?.['documents']).toHaveLength(4);
    expect(counted() - before).toBe(2);
  });

  it('answers a sync_request with frames below the limit, to the last page, with the first page’s offset', async () => {
    const document = (n: number) => ({
      ...{ collection: 'task', id: `d${n}`, version: 1, valueJson: JSON.stringify('x'.repeat(200_000)) },
      ...{ hash: 'h', offset: n, updatedAtMs: 0 },
    });
    live.mesh.sync.compareDocuments = async ({ cursor }) => ({
      offset: cursor === '' ? 30 : 31,
      documents: Array.from({ length: 8 }, (_, n) => document(cursor === '' ? n : n + 8)),
      gone: cursor === '' ? [{ collection: 'task', id: 'old', version: 4, hash: '' }] : [],
      next: cursor === '' ? 'more' : '',
    });
    live.slowLines();
    const ann = live.hello('ann');
    await ann.first('welcome');
    ann.send({ type: 'sync_request', id: 1, space: 'personal', versions: [] });
    expect(await ann.first('result', { id: 1 })).toMatchObject({ offset: 30 });
    const frames = ann.of('sync_response') as unknown as {
      readonly [key: string]: unknown;
      readonly documents: readonly { readonly id: string }[];
    }[];
    const ids = frames.flatMap(({ documents }) => documents.map(({ id }) => id));
    expect(ids).toEqual(Array.from({ length: 16 }, (_, n) => `d${n}`));
    expect(frames.map(({ more }) => more)).toEqual([...Array(frames.length - 1).fill(true), undefined]);
    expect(frames.map(({ offset }) => offset)).toEqual(Array(frames.length).fill(30));
    expect(frames.flatMap(({ gone }) => gone)).toHaveLength(1);
    for (const frame of frames) expect(JSON.stringify(frame).length).toBeLessThan(1_000_000);
  });

  it('stops with unsubscribe and starts again with subscribe from a position', async () => {
    const ann = live.hello('ann');
    await ann.first('welcome');
    ann.send({ type: 'unsubscribe', id: 1, space: 'personal' });
    expect(await ann.first('unsubscribed')).toMatchObject({ space: 'space-ann', reason: 'requested' });
    await ann.first('result', { id: 1 });
    live.sync.append('space-ann', 'message.created');
    live.sync.append('space-ann', 'message.created');
    ann.send({ type: 'subscribe', id: 2, space: 'personal', epoch: 'e1', offset: 1 });
    expect(await ann.first('subscribed')).toMatchObject({ offset: 2, recovered: true, lastSeq: 7 });
    await ann.first('event', { offset: 2 });
    expect(ann.offsets).toEqual([2]);
  });

  it('refuses spaces of others, at hello and at subscribe', async () => {
    live.sync.space('secret', ['bob']);
    const ann = live.hello('ann', { streams: [{ space: 'secret', epoch: 'e1', offset: 0 }] });
    expect(await ann.first('welcome')).toMatchObject({ streams: [{ space: 'secret', error: 'forbidden' }] });
    ann.send({ type: 'subscribe', id: 1, space: 'secret' });
    expect(await ann.first('error', { id: 1 })).toMatchObject({ code: 'forbidden', retryable: false });
    live.sync.append('secret', 'message.created');
    ann.send({ type: 'ping' });
    await ann.first('pong');
    expect(ann.offsets).toEqual([]);
  });

  it('renews the login with auth, for the same person only', async () => {
    const ann = live.hello('ann');
    await ann.first('welcome');
    live.verifier.expiresAtMs = 1_999_999_999_000;
    ann.send({ type: 'auth', id: 1, token: tokenOf('bob') });
    expect(await ann.first('error', { id: 1 })).toMatchObject({ code: 'forbidden' });
    ann.send({ type: 'auth', id: 2, token: tokenOf('ann') });
    expect(await ann.first('result', { id: 2 })).toMatchObject({ authExpiresAt: 1_999_999_999_000 });
  });

  it('notes another login of the person with the device before it goes on with it', async () => {
    const ann = live.hello('ann');
    await ann.first('welcome');
    const openings = () =>
      live.mesh.calls('openSession').map(({ request, ctx }) => [request, ctx.actor?.sessionId]);
    const before = openings();
    ann.send({ type: 'auth', id: 1, token: tokenOf('ann') });
    await ann.first('result', { id: 1 });
    expect(openings()).toEqual(before);
    ann.send({ type: 'auth', id: 2, token: tokenOf('ann', 'another') });
    await ann.first('result', { id: 2 });
    expect(openings().slice(before.length)).toEqual([
      [{ device: expect.objectContaining({ id: 'device-ann' }) }, 'another'],
    ]);
  });

  it('passes acks on, the newest of each space', async () => {
    live.sync.append(live.sync.personal('ann').id, 'message.created');
    const ann = live.hello('ann');
    await ann.first('welcome');
    ann.send({ type: 'ack', space: 'space-ann', offset: 0, seq: 3 });
    ann.send({ type: 'ack', space: 'space-ann', offset: 1 });
    await expect.poll(() => live.sync.acks.at(-1)).toMatchObject({ deviceId: 'device-ann', offset: 1 });
    expect(Math.max(...live.sync.acks.map(({ seq }) => seq))).toBe(3);
    // Each of the log it was said of, and nothing of another one.
    expect(live.sync.acks.at(-1)?.epoch).toBe('e1');
    ann.send({ type: 'ack', space: 'personal', offset: 1, seq: 9 });
    live.sync.reanchor('space-ann', 'e2');
    await ann.first('snapshot', { epoch: 'e2', part: 2 });
    ann.send({ type: 'ack', space: 'personal', offset: 1, seq: 2 });
    await expect
      .poll(() => live.sync.acks.filter(({ epoch }) => epoch === 'e2'))
      .toMatchObject([{ offset: 1, seq: 2 }]);
  });

  it('says of which log a mutation is: that which the client had when it sent it, or the one it names', async () => {
    const seen: (string | undefined)[] = [];
    live.mesh.sync.mutate = async ({ epoch, space }) => {
      seen.push(epoch);
      const now = live.sync.get(space).epoch;
      if (epoch !== now) throw new AppError('position_lost', undefined, { meta: { epoch: now, head: '0' } });
      return { resultsJson: '[]', lastSeq: 0, deliveredTo: 0 };
    };
    live.sync.personal('ann');
    const change = { seq: 1, collection: 'c', id: 'k', baseVersion: 0, hlc: '0189aabbccdd-0000-d' };
    const mutate = (id: number, epoch?: string) =>
      ann.send({ type: 'mutate', id, space: 'personal', epoch, mutations: [{ ...change, ops: [] }] });
    const ann = live.hello('ann');
    await ann.first('welcome');
    mutate(1);
    await ann.first('result', { id: 1 });
    // The log is another one, and the gateway has not heard of it.
    live.sync.get('space-ann').epoch = 'e2';
    mutate(2);
    expect(await ann.first('error', { id: 2 })).toMatchObject({ code: 'unavailable', retryable: true });
    mutate(3, 'e1');
    expect(await ann.first('error', { id: 3 })).toMatchObject({
      ...{ code: 'position_lost', retryable: false, epoch: 'e2', head: 0 },
    });
    // The device did more since it came, and the copy has less of it than it was told then.
    live.sync.lastSeq = 5;
    live.sync.reanchor('space-ann', 'e2');
    expect(await ann.first('subscribed')).toMatchObject({ epoch: 'e2', recovered: false, lastSeq: 5 });
    await ann.first('snapshot', { epoch: 'e2', part: 2 });
    mutate(4);
    await ann.first('result', { id: 4 });
    mutate(5, 'e1');
    expect(await ann.first('error', { id: 5 })).toMatchObject({ code: 'position_lost' });
    expect(seen).toEqual(['e1', 'e1', 'e1', 'e2', 'e1']);
    // What comes with an older position is of the older log until there is a snapshot, whatever the welcome says.
    seen.length = 0;
    live.sync.brokenSnapshots = 5;
    const bob = live.socket();
    const streams = [{ space: 'personal', epoch: 'e1', offset: 0 }];
    const device = { id: 'another', platform: 'web' };
    bob.send({ type: 'hello', v: 1, token: tokenOf('ann'), device, streams });
    bob.send({ type: 'mutate', id: 6, space: 'personal', mutations: [{ ...change, ops: [] }] });
    await bob.first('welcome');
    expect(await bob.first('error', { id: 6 })).toMatchObject({ code: 'unavailable', retryable: true });
    expect(seen).toEqual(['e1']);
  });

  it('says 4012 with a time to come back when the gateway leaves, and takes nobody new', async () => {
    const ann = live.hello('ann');
    await ann.first('welcome');
    await live.live.service.drain?.();
    expect(await ann.closeCode()).toBe(4012);
    expect(JSON.parse(ann.closed?.reason ?? '')).toEqual({ retryAfterMs: [0, 5_000] });
    const late = live.socket();
    await vi.waitFor(() => expect(late.refused).toBe(503));
  });

  it('answers what a socket has sent before it sends it elsewhere, and waits for that no longer than three seconds', async () => {
    await live.stop();
    live = await startLive({ drainMs: 1 });
    const append = live.mesh.sync.appendMessage;
    if (!append) throw new Error('the space log appends');
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    live.mesh.sync.appendMessage = async (request, ctx) => {
      if (request.clientMessageId === 'never') return new Promise(() => {});
      asked.resolve();
      await answer.promise;
      return append(request, ctx);
    };
    const [ann, bob, idle] = [live.hello('ann'), live.hello('bob'), live.hello('carol')];
    await Promise.all([ann, bob, idle].map((one) => one.first('welcome')));
    const message = { type: 'message', id: 1, space: 'personal', text: 'hi' };
    bob.send({ ...message, clientMessageId: 'never' });
    ann.send({ ...message, clientMessageId: 'slow' });
    await asked.promise;
    const drained = live.live.service.drain?.();
    expect(await idle.closeCode()).toBe(4012);
    answer.resolve();
    expect(await ann.first('result', { id: 1 })).toMatchObject({ messageId: 'message-slow' });
    expect(await Promise.all([ann.closeCode(), bob.closeCode()])).toEqual([4012, 4012]);
    await drained;
    expect(bob.of('result')).toEqual([]);
  });
});
