import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type OpenSocket, openSocket, parsedAnswer, rawAnswer } from './bad-input/answered.ts';
import { classicError, errorFrame, problem } from './bad-input/answers.ts';
import { bytesOf } from './bad-input/bytes.ts';
import { credentialCases } from './bad-input/credential-cases.ts';
import { classicFrames, connectFrames, type FrameCase } from './bad-input/frame-cases.ts';
import { badCredentials } from './bad-input/tokens.ts';
import { newPerson, type Person, type TestMesh, testMesh } from './support/mesh.ts';

let on: TestMesh;
let me: Person;
let names: Record<string, string>;
let bad: Awaited<ReturnType<typeof badCredentials>>;
let gatewayPid: number | undefined;
const opened: OpenSocket[] = [];

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

beforeAll(async () => {
  on = await testMesh({ env: { MESSAGES_PER_SECOND: '1000', ANONYMOUS_PER_SECOND: '1000' } });
  me = await newPerson(on.url);
  const other = await newPerson(on.url);
  bad = await badCredentials(on, me.accessToken, other.id);
  const space = await fetch(`${on.url}/v1/spaces/personal`, { headers: bearer(other.accessToken) });
  const { id: otherSpace } = (await space.json()) as { id: string };
  names = {
    ...{ me: me.id, token: me.accessToken, forged: bad['by another key'] },
    ...{ otherToken: other.accessToken, otherSpace },
  };
  gatewayPid = on.mesh.processes.get('gateway')?.pid;
}, 120_000);

afterEach(() => {
  for (const { socket } of opened.splice(0)) socket.terminate();
});

afterAll(async () => {
  await on?.[Symbol.asyncDispose]();
}, 60_000);

const open = async (path: string): Promise<OpenSocket> => {
  const one = await openSocket(on.url, path);
  opened.push(one);
  return one;
};

const hello = (token: string) =>
  JSON.stringify({
    type: 'hello',
    v: 1,
    token,
    device: { id: randomBytes(6).toString('hex'), platform: 'web' },
  });

const errors = ({ frames }: OpenSocket) => frames.filter(({ type }) => type === 'error');

/** When to come back, for codes that invite it. */
const reasons: Readonly<Record<number, string>> = { 4009: '{"retryAfterMs":[0,1000]}' };

/** The socket is closed with this code and its reason. */
const isClosed = async (one: OpenSocket, code: number) => {
  await vi.waitFor(() => expect(one.closed).toBeDefined(), { timeout: 10_000 });
  expect(one.closed).toEqual({ code, reason: reasons[code] ?? '' });
};

/** The socket answers a ping; its one error came before, or comes from a service behind. */
const stays = async (one: OpenSocket) => {
  one.socket.send('{"type":"ping"}');
  await vi.waitFor(() => expect(one.frames.some(({ type }) => type === 'pong')).toBe(true), {
    timeout: 10_000,
  });
  expect(one.closed).toBeUndefined();
};

const check = async (one: OpenSocket, { frame, binary, error, close }: FrameCase) => {
  one.socket.send(bytesOf(frame, names), { binary: binary ?? false });
  if (error) await vi.waitFor(() => expect(errors(one)).toHaveLength(1), { timeout: 10_000 });
  if (close === undefined) await stays(one);
  else await isClosed(one, close);
  expect(errors(one)).toEqual(error ? [error] : []);
};

describe('/v1/connect answers instead of hello', () => {
  it.each(connectFrames.filter(({ when }) => when === 'first'))('$what', async (row) => {
    await check(await open('/v1/connect'), row);
  });
});

describe('/v1/connect answers once it is open', () => {
  it.each(connectFrames.filter(({ when }) => when === 'open'))('$what', async (row) => {
    const one = await open('/v1/connect');
    one.socket.send(hello(me.accessToken));
    await vi.waitFor(() => expect(one.frames[0]?.type).toBe('welcome'), { timeout: 10_000 });
    await check(one, row);
  });
});

describe('/ws/{user_id} answers instead of auth', () => {
  it.each(classicFrames.filter(({ when }) => when === 'first'))('$what', async (row) => {
    await check(await open(`/ws/${me.id}`), row);
  });
});

describe('/ws/{user_id} answers once it is open', () => {
  it.each(classicFrames.filter(({ when }) => when === 'open'))('$what', async (row) => {
    const one = await open(`/ws/${me.id}?token=${me.accessToken}`);
    await stays(one);
    await check(one, row);
  });
});

describe.each(credentialCases)('a token that is $what', ({ credential, code, detail }) => {
  const token = () => bad[credential as keyof typeof bad];

  it.each(['/v1/me', '/v1/stream?device=d', '/v1/poll?device=d'])('is refused by GET %s', async (path) => {
    const response = await fetch(on.url + path, {
      headers: bearer(token()),
      signal: AbortSignal.timeout(10_000),
    });
    const { traceId: _, ...body } = (await response.json()) as Record<string, unknown>;
    expect(body).toEqual(problem(401, code, detail));
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe('Bearer');
  });

  it('closes /v1/connect with 4001', async () => {
    const one = await open('/v1/connect');
    one.socket.send(hello(token()));
    await isClosed(one, 4001);
    expect(one.frames).toEqual([errorFrame(code, detail)]);
  });

  it('closes /ws/{user_id} with 4001, in the URL or the first frame', async () => {
    const inUrl = await open(`/ws/${me.id}?token=${token()}`);
    await isClosed(inUrl, 4001);
    expect(inUrl.frames).toEqual([classicError(code, detail)]);
    const inFrame = await open(`/ws/${me.id}`);
    inFrame.socket.send(JSON.stringify({ type: 'auth', token: token() }));
    await isClosed(inFrame, 4001);
    expect(inFrame.frames).toEqual([classicError(code, detail)]);
  });
});

describe('a ticket', () => {
  const ticket = async (): Promise<string> => {
    const response = await fetch(`${on.url}/v1/auth/tickets`, {
      method: 'POST',
      headers: bearer(me.accessToken),
    });
    return ((await response.json()) as { ticket: string }).ticket;
  };
  const ways = [
    ['/v1/connect', (text: string) => ({ path: '/v1/connect', first: text })],
    ['/ws/{user_id}', (text: string) => ({ path: `/ws/${me.id}?token=${text}`, first: undefined })],
  ] as const;

  it.each(ways)('opens %s once and never again', async (_, way) => {
    const one = await ticket();
    const connect = async () => {
      const { path, first } = way(one);
      const socket = await open(path);
      if (first !== undefined) {
        socket.socket.send(
          JSON.stringify({ type: 'hello', v: 1, ticket: first, device: { id: 'replay', platform: 'web' } }),
        );
      }
      return socket;
    };
    const good = await connect();
    await stays(good);
    const replayed = await connect();
    await isClosed(replayed, 4001);
    const said = 'The ticket is unknown, used or expired';
    expect(errors(replayed)).toEqual([
      _ === '/v1/connect' ? errorFrame('ticket_invalid', said) : classicError('ticket_invalid', said),
    ]);
  });

  it.each(['/v1/stream', '/v1/poll'])('opens %s once and never again', async (path) => {
    const one = await ticket();
    const ask = () =>
      fetch(`${on.url}${path}?device=replay&ticket=${one}`, { signal: AbortSignal.timeout(10_000) });
    const good = await ask();
    expect(good.status).toBe(200);
    await good.body?.cancel();
    const replayed = await ask();
    const { traceId: _, ...body } = (await replayed.json()) as Record<string, unknown>;
    expect(body).toEqual(problem(401, 'ticket_invalid'));
  });
});

it('closes someone else’s classic socket with 4003', async () => {
  const one = await open(`/ws/somebody-else?token=${me.accessToken}`);
  await isClosed(one, 4003);
  expect(one.frames).toEqual([classicError('forbidden', 'This socket belongs to somebody else')]);
});

it('answers ten refusals in ten seconds with 4029', async () => {
  const one = await open('/v1/connect');
  one.socket.send(hello(me.accessToken));
  await vi.waitFor(() => expect(one.frames[0]?.type).toBe('welcome'), { timeout: 10_000 });
  for (let sent = 0; sent < 20; sent += 1) one.socket.send('{"type":"dance"}');
  await vi.waitFor(() => expect(one.closed).toBeDefined(), { timeout: 10_000 });
  expect(one.closed).toEqual({ code: 4029, reason: '{"retryAfterMs":[10000,30000]}' });
  expect(errors(one)).toHaveLength(10);
});

it('answers an upgrade with a broken key like any bad request', async () => {
  const answer = await rawAnswer(
    Number(new URL(on.url).port),
    Buffer.from(
      'GET /v1/connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n',
    ),
  );
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(parsedAnswer(answer).body).toMatchObject({ code: 'invalid_request', status: 400 });
});

it('is the same process as before, and nothing went wrong on our side', () => {
  expect(on.mesh.processes.get('gateway')?.pid).toBe(gatewayPid);
  expect(on.lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
});
