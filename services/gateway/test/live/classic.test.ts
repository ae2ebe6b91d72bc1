import type { syncV1 } from '@skein/contracts';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Harness, startLive, tokenOf } from './harness.ts';
import type { TestSocket } from './test-socket.ts';

const doc = (over: Partial<syncV1.SyncData> = {}): syncV1.SyncData => ({
  ...{ id: 'd1', type: 'task', dataJson: '{"b":1.0,"a":"\\u00e9"}', timestamp: 5, version: 1, ...over },
});

let live: Harness;
beforeEach(async () => {
  live = await startLive({ recheckMs: 60 });
});
afterEach(() => live.stop());

const raw = (socket: TestSocket): string[] => {
  const texts: string[] = [];
  socket.ws.on('message', (data) => texts.push(data.toString()));
  return texts;
};

/** Opens a classic socket and waits until it is served. */
const open = async (user: string, device?: string): Promise<{ socket: TestSocket; texts: string[] }> => {
  const name = device === undefined ? '' : `&device_id=${device}`;
  const socket = live.socket(`/ws/${user}?token=${tokenOf(user)}${name}`);
  const texts = raw(socket);
  socket.send({ type: 'ping' });
  await socket.first('pong');
  return { socket, texts };
};

/** A classic write as session-sync logs it. */
const changed = (value: string, version: number, device: string, settled = false) => {
  const data = { collection: 'task', id: 'd1', version, timestamp: 9, ...(settled ? { settled } : {}) };
  const event = live.sync.append('space-ann', 'document.changed', { ...data, value: '@' }, { device });
  // The space log writes JSON with JSON.stringify; the value goes in as its author wrote it.
  const json = event.json.replace('"@"', value);
  Object.assign(event, { json });
  return event;
};

describe('/ws/{user_id}', () => {
  it('signs in by the URL or by the first frame', async () => {
    await open('ann');
    const second = live.socket('/ws/ann');
    second.send({ type: 'auth', token: tokenOf('ann') });
    second.send({ type: 'ping' });
    await second.first('pong');
  });

  it.each([
    ['another frame first', '/ws/ann', { type: 'ping' }, 4001],
    ['a token of somebody else', `/ws/ann?token=${tokenOf('bob')}`, undefined, 4003],
    ['an expired token', '/ws/ann', { type: 'auth', token: 'a.b.expired' }, 4001],
  ])('closes for %s', async (_, path, frame, code) => {
    const socket = live.socket(path);
    if (frame) socket.send(frame);
    expect(await socket.closeCode()).toBe(code);
  });

  it('opens with a ticket in the place of a token', async () => {
    live.mesh.auth.redeemTicket = async () => ({
      principal: { userId: 'ann', sessionId: 's', tokenId: '', scopes: [], expiresAtMs: Date.now() + 60_000 },
    });
    const socket = live.socket('/ws/ann?token=ticket-without-dots');
    socket.send({ type: 'ping' });
    await socket.first('pong');
  });

  it('pushes what changed since the device had it, byte for byte, then what comes', async () => {
    live.sync.classic = [doc(), doc({ id: 'current', type: 'session' })];
    const asked = vi.fn(live.mesh.sync.readClassic);
    live.mesh.sync.readClassic = asked;
    const { socket, texts } = await open('ann', 'phone');
    expect(asked.mock.calls[0]?.[0]).toMatchObject({ deviceId: 'phone', compare: false });
    expect(texts.filter((text) => text.includes('data_update'))).toEqual([
      '{"type":"data_update","data":{"id":"d1","type":"task","data":{"b":1.0,"a":"\\u00e9"},"timestamp":5,"version":1}}',
    ]);
    live.sync.append('space-ann', 'persona.changed', { persona: 'laoke' }, { platform: 'cli' });
    live.sync.append('space-ann', 'memory.toggled', { enabled: false }, { platform: 'cli' });
    live.sync.append('space-ann', 'platform.registered', { device: 'tv', platform: 'tv' });
    expect(await socket.first('persona_change')).toEqual({
      ...{ type: 'persona_change', persona: 'laoke', platform: 'cli' },
    });
    expect(await socket.first('memory_toggle')).toEqual({
      ...{ type: 'memory_toggle', enabled: false, platform: 'cli' },
    });
    expect(await socket.first('platform_register')).toEqual({
      ...{ type: 'platform_register', platform: 'tv', device_id: 'tv' },
    });
  });

  it('shows nothing of a team space, also when the person enters one', async () => {
    const { socket, texts } = await open('ann', 'phone');
    const modern = live.hello('ann', { device: { id: 'modern', platform: 'web' } });
    await modern.first('welcome');
    live.sync.space('team', ['ann', 'bob']);
    const json = JSON.stringify({ type: 'membership', user: 'ann', space: 'team' });
    live.sync.tell('space-ann', { $case: 'ephemeral', value: { space: 'space-ann', json } });
    await modern.first('subscribed', { space: 'team' });
    live.sync.append('team', 'message.created', { text: 'of the team' });
    await modern.first('event', { space: 'team' });
    live.sync.append('space-ann', 'message.created', { text: 'my own' });
    await socket.first('message');
    expect(texts.filter((text) => text.includes('of the team'))).toEqual([]);
  });

  it('hands a write on byte for byte with what the device has seen, and sends it to the others only', async () => {
    const seen: syncV1.ApplyClassicRequest[] = [];
    live.mesh.sync.applyClassic = async (request) => {
      seen.push(request);
      const json = request.data?.dataJson ?? '';
      const { offset } = changedNow(json, request.data?.version ?? 0, request.origin?.device?.id ?? '');
      return { outcome: 'applied', offset, server: request.data, conflictId: '', deliveredTo: 1 };
    };
    const changedNow = (json: string, version: number, device: string) => {
      const event = live.sync.append(
        'space-ann',
        'document.changed',
        { collection: 'task', id: 'd1', version, timestamp: 9, value: JSON.parse(json) as unknown },
        { device },
      );
      return event;
    };
    const phone = await open('ann', 'phone');
    const desk = await open('ann', 'desk');
    const update = (version: number, data: string) =>
      `{"type":"data_update","data":{"id":"d1","type":"task","data":${data},"timestamp":9,"version":${version}}}`;
    phone.socket.send(update(1, '{ "z": 1.50, "10": [ ] }'));
    phone.socket.send(update(2, '{"z":2}'));
    await desk.socket.first('data_update', {});
    await expect.poll(() => seen.length).toBe(2);
    expect(seen[0]?.data?.dataJson).toBe('{ "z": 1.50, "10": [ ] }');
    expect(seen[0]?.seenOffset).toBe(0);
    // The second write is judged after the first has come back to this device.
    expect(seen[1]?.seenOffset).toBe(1);
    await expect.poll(() => desk.socket.of('data_update').length).toBe(2);
    expect(phone.socket.of('data_update')).toEqual([]);
  });

  it('sends the value of an event as its author wrote it, and a settled one to its sender too', async () => {
    const { socket, texts } = await open('ann', 'phone');
    live.sync.personal('ann');
    const held = live.sync.streams;
    expect(held.size).toBe(1);
    // Follow again from the log, where the raw text is.
    live.sync.away = true;
    live.sync.breakStreams();
    await expect.poll(() => live.sync.streams.size).toBe(0);
    changed('{ "n" : 1.0 }', 3, 'desk');
    changed('{ "n" : 2.0 }', 4, 'phone');
    changed('{ "n" : 3.0 }', 5, 'phone', true);
    live.sync.away = false;
    await expect.poll(() => socket.of('data_update').length).toBe(2);
    expect(texts.filter((text) => text.includes('data_update'))).toEqual([
      '{"type":"data_update","data":{"id":"d1","type":"task","data":{ "n" : 1.0 },"timestamp":9,"version":3}}',
      '{"type":"data_update","data":{"id":"d1","type":"task","data":{ "n" : 3.0 },"timestamp":9,"version":5}}',
    ]);
  });

  it('closes only its own socket for an event it cannot make a classic frame of', async () => {
    const { socket } = await open('ann', 'phone');
    const modern = live.hello('ann');
    await modern.first('welcome');
    live.sync.append('space-ann', 'document.changed', { collection: 'task', id: 'd1', version: 1 });
    live.sync.append('space-ann', 'message.created');
    expect(await socket.closeCode()).toBe(4000);
    await modern.first('event', { offset: 2 });
    expect(live.sync.streams.size).toBe(1);
  });

  it('says conflict when a person must choose', async () => {
    live.mesh.sync.applyClassic = async () => ({
      outcome: 'conflict',
      offset: 0,
      server: doc({ version: 7 }),
      conflictId: 'k1',
      deliveredTo: 0,
    });
    const { socket } = await open('ann', 'phone');
    const data = { id: 'd1', type: 'knowledge_base', data: { mine: true }, timestamp: 1, version: 2 };
    socket.send({ type: 'data_update', data });
    expect(await socket.first('conflict')).toEqual({
      type: 'conflict',
      data: {
        clientData: data,
        serverData: { id: 'd1', type: 'task', data: { b: 1, a: 'é' }, timestamp: 5, version: 7 },
        conflictId: 'k1',
      },
    });
  });

  it('answers sync_request with what session-sync compares, unknown ids included', async () => {
    const { socket } = await open('ann');
    const unknown = { id: 'x', type: 'unknown', dataJson: 'null', timestamp: 0, version: 0 };
    live.mesh.sync.readClassic = async () => ({ items: [doc(), unknown], offset: 0, epoch: 'e1', next: '' });
    socket.send({ type: 'sync_request', versions: [{ id: 'x', version: 3 }] });
    expect((await socket.first('sync_response'))['data']).toEqual([
      { id: 'd1', type: 'task', data: { b: 1, a: 'é' }, timestamp: 5, version: 1 },
      { id: 'x', type: 'unknown', data: null, timestamp: 0, version: 0 },
    ]);
    expect(live.mesh.calls('readClassic').at(-1)?.request).toMatchObject({
      ...{ compare: true, versions: [{ id: 'x', version: 3 }] },
    });
  });

  it('answers sync_request in frames below the limit, each but the last with `more`, to the last page', async () => {
    live.slowLines();
    const { socket } = await open('ann');
    const dataJson = JSON.stringify('x'.repeat(200_000));
    live.mesh.sync.readClassic = async ({ cursor }) => ({
      items: Array.from({ length: 8 }, (_, n) => ({ ...doc(), id: `${cursor}d${n}`, dataJson })),
      ...{ offset: 0, epoch: 'e1', next: cursor === '' ? 'more' : '' },
    });
    socket.send({ type: 'sync_request', versions: [] });
    await vi.waitFor(() => expect(socket.of('sync_response').some(({ more }) => more !== true)).toBe(true));
    const frames = socket.of('sync_response');
    const ids = frames.flatMap(({ data }) => (data as { id: string }[]).map(({ id }) => id));
    expect(ids).toEqual(['', 'more'].flatMap((page) => Array.from({ length: 8 }, (_, n) => `${page}d${n}`)));
    expect(frames.map(({ more }) => more)).toEqual([...Array(frames.length - 1).fill(true), undefined]);
    for (const frame of frames) expect(JSON.stringify(frame).length).toBeLessThan(1_000_000);
  });

  it('pushes what a device missed at the pace of its reader, however long that takes', async () => {
    const tight = await startLive({ budgetBytes: 200_000, lowBytes: 100_000 });
    tight.slowLines();
    try {
      const dataJson = JSON.stringify('x'.repeat(100_000));
      tight.sync.classic = Array.from({ length: 40 }, (_, n) => ({ ...doc(), id: `d${n}`, dataJson }));
      const socket = tight.socket(`/ws/ann?token=${tokenOf('ann')}&device_id=phone`);
      await socket.first('data_update', { type: 'data_update' });
      await vi.waitFor(() => expect(socket.of('data_update')).toHaveLength(40), { timeout: 5_000 });
      expect(socket.closed).toBeUndefined();
    } finally {
      await tight.stop();
    }
  });

  it('takes a message, shows it to the other devices, and streams the answer to all without overlap', async () => {
    const phone = await open('ann', 'phone');
    const desk = await open('ann', 'desk');
    phone.socket.send({ type: 'message', content: 'hello' });
    expect(await desk.socket.first('message')).toMatchObject({ role: 'user', content: 'hello' });
    live.sync.append('space-ann', 'turn.started', { turnId: 't', messageId: 'm-t', conversationId: 'c' });
    live.sync.tokens('space-ann', 't', 0, 'Good ');
    live.sync.tokens('space-ann', 't', 3, 'd day');
    live.sync.append('space-ann', 'message.completed', { turnId: 't', messageId: 'm-t', text: 'Good day' });
    for (const { socket } of [phone, desk]) {
      await socket.first('message', { role: 'assistant', content: 'Good day', message_id: 'm-t' });
      expect(
        socket
          .of('token')
          .map(({ content }) => content)
          .join(''),
      ).toBe('Good day');
    }
    expect(phone.socket.of('message').map(({ role }) => role)).toEqual(['assistant']);
  });

  it('acknowledges for a named device what a pong proves to have arrived', async () => {
    const { socket } = await open('ann', 'phone');
    live.sync.append('space-ann', 'persona.changed', { persona: 'laoke' });
    await socket.first('persona_change');
    await expect
      .poll(() => live.sync.acks.at(-1))
      .toMatchObject({ deviceId: 'phone', offset: 1, epoch: 'e1' });
  });

  it('takes the device from platform_register', async () => {
    live.mesh.sync.registerPlatform = async () => ({ offset: 0, deliveredTo: 0 });
    const { socket } = await open('ann');
    socket.send({ type: 'platform_register', platform: 'discord', device_id: 'bot' });
    await expect
      .poll(() => live.live.connectedDevices('ann'))
      .toMatchObject([{ id: 'bot', platform: 'discord' }]);
    await expect
      .poll(() => live.mesh.calls('registerPlatform').at(0)?.request)
      .toMatchObject({ origin: { device: { id: 'bot', platform: 'discord' } } });
  });

  it('asks again and again whether the login is still good', async () => {
    const { socket } = await open('ann');
    live.mesh.auth.checkSessions = async ({ sessionIds }) => ({
      revokedSessionIds: sessionIds,
      revokedTokenIds: [],
    });
    expect(await socket.closeCode()).toBe(4001);
  });

  it.each([
    ['an unknown type', { type: 'dance' }, 'unknown_type'],
    [
      'a document without data',
      { type: 'data_update', data: { id: 'a', type: 't', timestamp: 1, version: 1 } },
      'invalid_request',
    ],
    ['a wrong version', { type: 'sync_request', versions: [{ id: 'a', version: -1 }] }, 'invalid_request'],
  ])('answers %s with an error and stays', async (_, frame, code) => {
    const { socket } = await open('ann');
    socket.send(frame);
    expect(await socket.first('error')).toMatchObject({ error: { code } });
    socket.frames.length = 0;
    socket.send({ type: 'ping' });
    await socket.first('pong');
  });
});
