import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClassicClient, openClassic } from './support/classic.ts';
import { type Device, openDevice } from './support/device.ts';
import { newPerson, type Person, type TestMesh, testMesh } from './support/mesh.ts';

let on: TestMesh;
let person: Person;
let tablet: ClassicClient;
let desktop: ClassicClient;
let modern: Device;

beforeAll(async () => {
  on = await testMesh({ env: { AGENT_OFFLINE_PACE_MS: '2' } });
  person = await newPerson(on.url);
  tablet = await openClassic(on.url, person.id, person.accessToken, 'tablet');
  desktop = await openClassic(on.url, person.id, person.accessToken, 'desktop');
  modern = await openDevice(on.url, 'modern', () => person.accessToken);
}, 120_000);

afterAll(async () => {
  tablet?.close();
  desktop?.close();
  modern?.close();
  await on?.[Symbol.asyncDispose]();
}, 60_000);

const call = (method: string, path: string, body?: unknown) =>
  fetch(`${on.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${person.accessToken}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

const task = (version: number, title: string, timestamp = Date.now()) => ({
  id: 'task-1',
  type: 'task',
  data: { title, done: false },
  timestamp,
  version,
});

describe('clients of the classic shapes', () => {
  it('get a pong for a ping', async () => {
    tablet.send({ type: 'ping' });
    await tablet.until('pong', (frame) => frame.type === 'pong');
  });

  it('see each other’s data, both ways, byte for byte and without an echo', async () => {
    tablet.send({ type: 'data_update', data: task(1, 'Buy milk 买牛奶') });
    const first = await desktop.until('task version 1', (frame) => frame.type === 'data_update');
    expect(first['data']).toMatchObject({
      id: 'task-1',
      type: 'task',
      version: 1,
      data: { title: 'Buy milk 买牛奶', done: false },
    });
    expect(JSON.stringify((first['data'] as { data: unknown }).data)).toBe(
      '{"title":"Buy milk 买牛奶","done":false}',
    );
    desktop.send({ type: 'data_update', data: task(2, 'Buy oat milk') });
    const second = await tablet.until('task version 2', (frame) => frame.type === 'data_update');
    expect(second['data']).toMatchObject({ version: 2, data: { title: 'Buy oat milk' } });
    expect(desktop.frames.filter((frame) => frame.type === 'data_update')).toHaveLength(1);
    await modern.until(
      'the document',
      (frame) => (frame['event'] as { type?: string } | undefined)?.type === 'document.changed',
    );
  });

  it('are told what they lack and asked for what the server does not know', async () => {
    desktop.send({
      type: 'sync_request',
      versions: [
        { id: 'task-1', version: 1 },
        { id: 'only-here', version: 4 },
      ],
    });
    const answer = await desktop.until('sync_response', (frame) => frame.type === 'sync_response');
    expect(answer['data']).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ id: 'task-1', version: 2 }),
        { id: 'only-here', type: 'unknown', data: null, timestamp: 0, version: 0 },
      ]),
    );
  });

  it('settle two writes of the same version by the strategy of the type, on all devices', async () => {
    const at = Date.now();
    tablet.send({
      type: 'data_update',
      data: { id: 'v1', type: 'health_data', data: { pulse: 60 }, timestamp: at, version: 1 },
    });
    await desktop.until(
      'the reading',
      (frame) => (frame['data'] as { id?: string } | undefined)?.id === 'v1',
    );
    desktop.send({
      type: 'data_update',
      data: { id: 'v1', type: 'health_data', data: { pulse: 99 }, timestamp: at, version: 1 },
    });
    // Server wins: its value again, with a version above both, for everybody.
    for (const client of [tablet, desktop]) {
      const settled = await client.until('the settled reading', (frame) => {
        const data = frame['data'] as { id?: string; version?: number } | undefined;
        return frame.type === 'data_update' && data?.id === 'v1' && data.version === 2;
      });
      expect((settled['data'] as { data: unknown }).data).toEqual({ pulse: 60 });
    }
  });

  it('change persona and memory for every device', async () => {
    tablet.send({ type: 'persona_change', persona: 'coordinator' });
    const persona = await desktop.until('persona_change', (frame) => frame.type === 'persona_change');
    expect(persona['persona']).toBe('coordinator');
    await modern.until(
      'persona.changed',
      (frame) => (frame['event'] as { type?: string } | undefined)?.type === 'persona.changed',
    );
    desktop.send({ type: 'memory_toggle', enabled: false });
    const memory = await tablet.until('memory_toggle', (frame) => frame.type === 'memory_toggle');
    expect(memory['enabled']).toBe(false);
  });

  it('announce a platform once', async () => {
    tablet.send({ type: 'platform_register', platform: 'telegram', device_id: 'tablet' });
    const told = await desktop.until(
      'platform_register',
      (frame) =>
        frame.type === 'platform_register' &&
        frame['device_id'] === 'tablet' &&
        frame['platform'] === 'telegram',
    );
    expect(told['platform']).toBe('telegram');
  });

  it('get an answer from POST /message/unified, and the same again for the same message_id', async () => {
    const message = {
      user_id: person.id,
      platform: 'web',
      content: 'Where did I put the milk?',
      message_id: 'unified-1',
    };
    const response = await call('POST', '/message/unified', message);
    expect(response.status).toBe(200);
    const answer = (await response.json()) as Record<string, unknown>;
    expect(answer).toMatchObject({ user_id: person.id, platform: 'web', persona: 'coordinator' });
    expect(answer['content']).toMatch(/offline/);
    expect(Object.keys(answer)).toEqual(
      expect.arrayContaining([
        'message_id',
        'user_id',
        'platform',
        'persona',
        'content',
        'conversation_id',
        'timestamp',
      ]),
    );
    const again = (await (await call('POST', '/message/unified', message)).json()) as Record<string, unknown>;
    expect(again['content']).toBe(answer['content']);
    expect(again['message_id']).toBe(answer['message_id']);
    await tablet.until('the question', (frame) => frame.type === 'message' && frame['role'] === 'user');
    const heard = await tablet.until(
      'the answer',
      (frame) => frame.type === 'message' && frame['role'] === 'assistant',
    );
    expect(heard['content']).toBe(answer['content']);
  });

  it('read the session as one object', async () => {
    const response = await call('GET', `/user/${person.id}/session`);
    expect(response.status).toBe(200);
    const session = (await response.json()) as Record<string, unknown>;
    expect(session).toMatchObject({
      user_id: person.id,
      current_persona: 'coordinator',
      memory_enabled: false,
    });
    expect(session['active_platforms']).toEqual(expect.arrayContaining(['telegram', 'cli']));
    expect((session['devices'] as { id: string }[]).map((device) => device.id)).toEqual(
      expect.arrayContaining(['tablet', 'desktop', 'modern']),
    );
    const history = session['conversation_history'] as { role: string; content: string }[];
    expect(history.map((message) => message.role)).toEqual(['user', 'assistant']);
  });

  it('send events over POST /sync/event that reach all devices', async () => {
    const response = await call('POST', '/sync/event', {
      user_id: person.id,
      platform: 'web',
      event_type: 'persona_change',
      data: { persona: 'data-analyst' },
    });
    expect(response.status).toBe(200);
    const body = (await response.json()) as { ok: boolean; offset: number; delivered_to: number };
    expect(body.ok).toBe(true);
    expect(body.offset).toBeGreaterThan(0);
    expect(body.delivered_to).toBe(3);
    for (const client of [tablet, desktop]) {
      await client.until(
        'the persona',
        (frame) => frame.type === 'persona_change' && frame['persona'] === 'data-analyst',
      );
    }
    await modern.until('persona.changed', (frame) => {
      const event = frame['event'] as { type?: string; data?: { persona?: string } } | undefined;
      return event?.type === 'persona.changed' && event.data?.persona === 'data-analyst';
    });
  });

  it('are refused for somebody else’s session', async () => {
    expect((await call('GET', '/user/somebody-else/session')).status).toBe(403);
    const stranger = await openClassic(on.url, 'somebody-else', person.accessToken, 'x');
    const error = await stranger.until('the refusal', (frame) => frame.type === 'error');
    expect(error['error']).toMatchObject({ code: 'forbidden' });
    expect(await stranger.closed).toBe(4003);
  });
});
