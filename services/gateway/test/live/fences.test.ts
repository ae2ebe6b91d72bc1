import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fakeMesh } from '../fakes.ts';
import { startGateway } from '../gateway.ts';
import { type Harness, startLive, tokenOf } from './harness.ts';
import { SpaceLog } from './space-log.ts';
import { TestSocket } from './test-socket.ts';

let live: Harness;
beforeEach(async () => {
  live = await startLive();
});
afterEach(() => live.stop());

const attaches = () =>
  live.sync.commands.flatMap((one) => {
    if (one.$case !== 'attach') return [];
    const { device, connection, opened } = one.value;
    return [{ device: device?.id, connection, opened }];
  });

describe('a socket of a device that opens another one at another gateway', () => {
  const replaced = (deviceId: string, connection: string) =>
    live.sync.tell('space-ann', { $case: 'replaced', value: { userId: 'ann', deviceId, connection } });

  it('is closed with 4010 when session-sync says so, and none but that one', async () => {
    const phone = live.hello('ann', { device: { id: 'phone', platform: 'web' } });
    const desk = live.hello('ann', { device: { id: 'desk', platform: 'web' } });
    const { connection } = await phone.first('welcome');
    await desk.first('welcome');
    replaced('desk', String(connection));
    replaced('phone', 'an older one');
    live.sync.append('space-ann', 'message.created');
    for (const one of [phone, desk]) await one.first('event');
    expect([phone.closed, desk.closed]).toEqual([undefined, undefined]);
    replaced('phone', String(connection));
    expect(await phone.closeCode()).toBe(4010);
    expect(desk.closed).toBeUndefined();
  });

  it('may be a classic one as well as a modern one: classic sockets neither replace nor are replaced', async () => {
    const phone = live.socket(`/ws/ann?token=${tokenOf('ann')}&device_id=phone`);
    await expect.poll(attaches).toEqual([{ device: 'phone', connection: '', opened: false }]);
    replaced('phone', '');
    live.sync.append('space-ann', 'persona.changed', { persona: 'laoke' });
    await phone.first('persona_change');
    expect(phone.closed).toBeUndefined();
  });
});

describe('session-sync', () => {
  it('is told of a WebSocket once that it was opened, and after an interruption that it is still there', async () => {
    const ann = live.hello('ann', { device: { id: 'phone', platform: 'web' } });
    const { connection } = await ann.first('welcome');
    const said = { device: 'phone', connection };
    await expect.poll(attaches).toEqual([{ ...said, opened: true }]);
    live.sync.breakStreams();
    await expect.poll(attaches).toEqual([
      { ...said, opened: true },
      { ...said, opened: false },
    ]);
  });

  it('is told that a device has no WebSocket any more, while a stream of it goes on', async () => {
    const abort = new AbortController();
    const stream = await fetch(`${live.url}/v1/stream?device=phone`, {
      headers: { authorization: `Bearer ${tokenOf('ann')}` },
      signal: abort.signal,
    });
    expect(stream.status).toBe(200);
    await expect.poll(attaches).toEqual([{ device: 'phone', connection: '', opened: false }]);
    const ann = live.hello('ann', { device: { id: 'phone', platform: 'web' } });
    const { connection } = await ann.first('welcome');
    await expect.poll(() => attaches().at(-1)).toEqual({ device: 'phone', connection, opened: true });
    ann.cut();
    await expect.poll(() => attaches().at(-1)).toEqual({ device: 'phone', connection: '', opened: false });
    abort.abort();
  });
});

describe('a composed gateway', () => {
  it('names sockets so that later ones sort higher, as session-sync relies on', async () => {
    const mesh = await fakeMesh();
    Object.assign(mesh.sync, new SpaceLog().script());
    const gateway = await startGateway(mesh);
    const token = await gateway.login('ann');
    const names: string[] = [];
    for (const id of ['a', 'b', 'c', 'd', 'e', 'f']) {
      const socket = new TestSocket(`ws://127.0.0.1:${gateway.port}/v1/connect`);
      socket.send({ type: 'hello', v: 1, token, device: { id, platform: 'web' } });
      names.push(String((await socket.first('welcome'))['connection']));
      socket.cut();
    }
    await gateway.stop();
    await mesh.stop();
    expect(names).toEqual([...names].sort());
  });
});
