import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { type Device, type Frame, openDevice } from './support/device.ts';
import { newPerson, type Person, type TestMesh, testMesh } from './support/mesh.ts';

/** How soon a live device hears of a change of membership. */
const promisedMs = 1_000;

interface LoggedEvent {
  readonly offset: number;
  readonly type: string;
  readonly data: Record<string, unknown>;
}

let on: TestMesh;
let ann: Person;
let bob: Person;
/** Somebody without any device: no gateway follows what is only this person's. */
let host: Person;
let phone: Device;
let laptop: Device;

beforeAll(async () => {
  // With two replicas of each service: the change is made at one and has to be heard at the other.
  // The same person makes a team for every test, faster than people do.
  on = await testMesh({ mesh: true, env: { AGENT_OFFLINE_PACE_MS: '5', MESSAGES_BURST: '1000' } });
  ann = await newPerson(on.url);
  bob = await newPerson(on.url);
  host = await newPerson(on.url);
  phone = await openDevice(on.url, 'phone', () => ann.accessToken);
  laptop = await openDevice(on.url, 'laptop', () => bob.accessToken);
}, 180_000);

afterAll(async () => {
  phone?.close();
  laptop?.close();
  await on?.[Symbol.asyncDispose]();
}, 90_000);

const call = async <T = unknown>(
  person: Person,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: T }> => {
  const response = await fetch(`${on.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${person.accessToken}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as T };
};

const logOf = (person: Person, space: string) =>
  call<{ head: number; events: LoggedEvent[] }>(person, 'GET', `/v1/spaces/${space}/events`);

const newTeam = async (title: string, owner = ann): Promise<string> => {
  const made = await call<{ id: string }>(owner, 'POST', '/v1/spaces', { title });
  expect(made.status).toBe(201);
  return made.body.id;
};

/** The owner gives a role, and the person accepts. */
const add = async (space: string, person: Person, owner = ann) => {
  const put = await call(owner, 'PUT', `/v1/spaces/${space}/members/${person.id}`, { role: 'editor' });
  expect(put).toEqual({ status: 200, body: { userId: person.id, role: 'editor', invited: true } });
  const { body } = await call<{ items: { space: string; code: string }[] }>(person, 'GET', '/v1/invitations');
  const code = body.items.find((one) => one.space === space)?.code;
  return call(person, 'POST', '/v1/invitations/accept', { code });
};

const remove = (space: string, person: Person) =>
  call(ann, 'DELETE', `/v1/spaces/${space}/members/${person.id}`);

const write = async (person: Person, space: string, text: string): Promise<number> => {
  const body = { clientMessageId: crypto.randomUUID(), text, reply: false };
  const sent = await call<{ offset: number }>(person, 'POST', `/v1/spaces/${space}/messages`, body);
  expect(sent.status).toBe(202);
  return sent.body.offset;
};

/** What a device was sent of a space, in order. */
const of = (device: Device, space: string): Frame[] =>
  device.frames.filter((frame) => frame['space'] === space);

const isFrame = (type: string, space: string) => (frame: Frame) =>
  frame.type === type && frame['space'] === space;

const said = (space: string, text: string) => (frame: Frame) =>
  isFrame('event', space)(frame) && (frame['event'] as LoggedEvent).data['text'] === text;

/** The first frame of a type that a new device of a person gets in a space, from a position or from nothing. */
const firstFrame = async (person: Person, type: string, stream: Record<string, unknown>): Promise<Frame> => {
  const socket = new WebSocket(`${on.url.replace('http', 'ws')}/v1/connect`);
  try {
    return await new Promise<Frame>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('close', (code) => reject(new Error(`closed with ${code} before ${type}`)));
      socket.on('message', (data) => {
        const frame = JSON.parse(String(data)) as Frame;
        if (frame.type === type) resolve(frame);
      });
      socket.on('open', () => {
        const device = { id: crypto.randomUUID(), platform: 'cli' };
        const hello = { type: 'hello', v: 1, token: person.accessToken, device, streams: [stream] };
        socket.send(JSON.stringify(hello));
      });
    });
  } finally {
    socket.close();
  }
};

describe('a team space', () => {
  it('reaches the live devices of who makes it, within a second', async () => {
    const startedAt = performance.now();
    const team = await newTeam('Mine');
    await phone.until('subscribed', isFrame('subscribed', team));
    expect(performance.now() - startedAt).toBeLessThan(promisedMs);
  });

  it('reaches the live devices of a new member within a second, although nobody there followed it', async () => {
    const team = await newTeam('Ours', host);
    await write(host, team, 'before Bob');
    const startedAt = performance.now();
    expect((await add(team, bob, host)).status).toBe(200);
    const subscribed = await laptop.until('subscribed', isFrame('subscribed', team));
    expect(performance.now() - startedAt).toBeLessThan(promisedMs);
    expect(subscribed).toMatchObject({ recovered: true, offset: 4 });

    // What is written from now on comes by itself, and the member writes as well.
    await write(host, team, 'hello Bob');
    await laptop.until('a message of the team', said(team, 'hello Bob'));
    await write(bob, team, 'hello there');
    await laptop.until('his own message', said(team, 'hello there'));
    const offsets = of(laptop, team).flatMap((frame) => (frame.type === 'event' ? [frame['offset']] : []));
    expect(offsets).toEqual([5, 6]);

    // What was before can be read, all of it.
    const { status, body } = await logOf(bob, team);
    expect(status).toBe(200);
    expect(body.events.map(({ offset }) => offset)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(body.events.map(({ type }) => type)).toEqual([
      'conversation.created',
      'message.created',
      'member.invited',
      'member.added',
      'message.created',
      'message.created',
    ]);
    const members = await call<{ items: unknown[] }>(bob, 'GET', `/v1/spaces/${team}/members`);
    expect(members.body.items).toHaveLength(2);
  });

  it('is entered by who accepts an invitation, on the live devices within a second, and by nobody else', async () => {
    const team = await newTeam('By invitation');
    await write(ann, team, 'before Bob');
    const invited = await call<{ id: string; code: string }>(ann, 'POST', `/v1/spaces/${team}/invitations`, {
      ...{ role: 'viewer', email: bob.email.toUpperCase() },
    });
    expect(invited.status).toBe(201);
    const code = { code: invited.body.code };
    expect((await call(host, 'POST', '/v1/invitations/accept', code)).status).toBe(404);
    const seen = await call(bob, 'POST', '/v1/invitations/preview', code);
    expect(seen.body).toMatchObject({ title: 'By invitation', role: 'viewer' });
    expect(of(laptop, team)).toEqual([]);
    const startedAt = performance.now();
    const accepted = await call(bob, 'POST', '/v1/invitations/accept', code);
    expect(accepted).toMatchObject({ status: 200, body: { id: team, role: 'viewer' } });
    await laptop.until('subscribed', isFrame('subscribed', team));
    expect(performance.now() - startedAt).toBeLessThan(promisedMs);
    expect(JSON.stringify((await logOf(bob, team)).body)).toContain('before Bob');
    const body = { clientMessageId: 'v', text: 'may I?', reply: false };
    expect((await call(bob, 'POST', `/v1/spaces/${team}/messages`, body)).status).toBe(403);
    const open = await call<{ items: unknown[] }>(ann, 'GET', `/v1/spaces/${team}/invitations`);
    expect(open.body.items).toEqual([]);
  });

  it('asks whom an owner gives a role: the devices hear of it, and nothing of the space is theirs before', async () => {
    const team = await newTeam('Asking');
    const path = `/v1/spaces/${team}/members/${bob.id}`;
    expect((await call(ann, 'PUT', path, { role: 'editor' })).status).toBe(200);
    const { body } = await call<{ items: { id: string; space: string; code: string }[] }>(
      ...([bob, 'GET', '/v1/invitations'] as const),
    );
    const one = body.items.find(({ space }) => space === team);
    expect(one).toMatchObject({ title: 'Asking', role: 'editor' });
    const told = (state: string) =>
      laptop.until(
        `the invitation is ${state}`,
        ({ type, ...frame }) => type === 'status' && frame['id'] === one?.id && frame['state'] === state,
      );
    expect(await told('open')).toMatchObject({ kind: 'invitation' });
    for (const part of ['', '/events', '/members', '/documents'])
      expect((await call(bob, 'GET', `/v1/spaces/${team}${part}`)).status, part).toBe(404);
    expect((await call(bob, 'POST', '/v1/invitations/decline', { code: one?.code })).status).toBe(204);
    await told('ended');
    expect((await call(bob, 'POST', '/v1/invitations/accept', { code: one?.code })).status).toBe(404);
    expect(of(laptop, team)).toEqual([]);
  });

  it('ends for a removed member within a second: nothing more is sent, nothing can be read or written', async () => {
    const team = await newTeam('Short');
    await add(team, bob);
    await laptop.until('subscribed', isFrame('subscribed', team));
    await write(ann, team, 'still together');
    await laptop.until('a message of the team', said(team, 'still together'));
    const startedAt = performance.now();
    expect((await remove(team, bob)).status).toBe(204);
    expect(await laptop.until('unsubscribed', isFrame('unsubscribed', team))).toMatchObject({
      reason: 'not_member',
    });
    expect(performance.now() - startedAt).toBeLessThan(promisedMs);

    await write(ann, team, 'behind his back');
    await phone.until('the owner’s own message', said(team, 'behind his back'));
    // Something of his own comes after it, and nothing of the team between.
    await write(bob, 'personal', 'to myself');
    await laptop.until('his own message', (frame) => {
      const event = frame['event'] as LoggedEvent | undefined;
      return event?.data['text'] === 'to myself';
    });
    expect(of(laptop, team).at(-1)?.type).toBe('unsubscribed');
    expect(JSON.stringify(laptop.frames)).not.toContain('behind his back');
    for (const path of ['', '/events', '/members', '/documents', '/conversations'])
      expect((await call(bob, 'GET', `/v1/spaces/${team}${path}`)).status, path).toBe(404);
    const body = { clientMessageId: 'm', text: 'let me in', reply: false };
    expect((await call(bob, 'POST', `/v1/spaces/${team}/messages`, body)).status).toBe(404);
    await expect(laptop.request({ type: 'subscribe', space: team })).rejects.toMatchObject({
      frame: { code: 'forbidden' },
    });
  });

  it('can be entered again, and shows what was missed', async () => {
    const team = await newTeam('Again');
    await add(team, bob);
    await laptop.until('subscribed', isFrame('subscribed', team));
    await remove(team, bob);
    await laptop.until('unsubscribed', isFrame('unsubscribed', team));
    await write(ann, team, 'meanwhile');
    await add(team, bob);
    await expect.poll(() => of(laptop, team).filter(({ type }) => type === 'subscribed')).toHaveLength(2);
    await write(ann, team, 'welcome back');
    await laptop.until('a message of the team', said(team, 'welcome back'));
    expect(JSON.stringify((await logOf(bob, team)).body)).toContain('meanwhile');
  });

  it('has one state for all: the check after a replay is the hash of the snapshot', async () => {
    const team = await newTeam('Checked');
    await add(team, bob);
    const { body } = await call<{ epoch: string }>(bob, 'GET', `/v1/spaces/${team}`);
    for (const [at, person] of [ann, bob].entries()) {
      const mutation = {
        ...{ seq: 1, collection: 'task', id: `t${at}`, baseVersion: 0 },
        ops: [{ op: 'set', path: ['text'], value: `of ${at}` }],
        hlc: `${Date.now().toString(16).padStart(12, '0')}-0000-laptop`,
      };
      const sent = { device: 'laptop', mutations: [mutation] };
      expect((await call(person, 'POST', `/v1/spaces/${team}/mutations`, sent)).status).toBe(200);
    }
    const snapshot = await firstFrame(ann, 'snapshot', { space: team });
    const check = await firstFrame(bob, 'check', { space: team, epoch: body.epoch, offset: 0 });
    expect(snapshot['stateHash']).toMatch(/^1:[0-9a-f]{16}$/);
    expect(check).toMatchObject({ offset: snapshot['offset'], stateHash: snapshot['stateHash'] });
  });

  it('has nothing of the personal data of its members', async () => {
    const mutation = (value: string) => ({
      ...{ seq: 1, collection: 'task', id: 'private', baseVersion: 0 },
      ops: [{ op: 'set', path: ['text'], value }],
      hlc: `${Date.now().toString(16).padStart(12, '0')}-0000-laptop`,
    });
    const mutated = await call(bob, 'POST', '/v1/spaces/personal/mutations', {
      device: 'laptop',
      mutations: [mutation('Bob’s own task')],
    });
    expect(mutated.status).toBe(200);
    await write(bob, 'personal', 'Bob’s own words');
    const team = await newTeam('Public');
    await add(team, bob);
    await laptop.until('subscribed', isFrame('subscribed', team));
    await write(bob, team, 'for everybody');
    const seen = await Promise.all(
      ['/events', '/documents', '/conversations'].map((path) =>
        call(ann, 'GET', `/v1/spaces/${team}${path}`),
      ),
    );
    const all = JSON.stringify(seen);
    expect(seen.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(all).toContain('for everybody');
    expect(all).not.toContain('Bob’s own');
    expect(JSON.stringify(phone.frames)).not.toContain('Bob’s own');
    // Her own `personal` is not his, and his id for it opens nothing.
    const personal = await call<{ id: string }>(bob, 'GET', '/v1/spaces/personal');
    expect((await logOf(ann, personal.body.id)).status).toBe(404);
  });
});
