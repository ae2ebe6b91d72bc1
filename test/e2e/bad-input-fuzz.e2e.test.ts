import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { gone, openRaw, within } from './bad-input/answered.ts';
import { type Device, openDevice } from './support/device.ts';
import { newPerson, type Person, type TestMesh, testMesh } from './support/mesh.ts';

/** The same bytes in every run; another seed is worth a try now and then. */
const seed = 20_261_124;
const secondsEach = 6;
const maxGrowthMb = 100;
/** The gateway answers or closes within this; a hang fails. */
const answerMs = 8_000;

let on: TestMesh;
let me: Person;
let healthy: Device;
let port: number;
let pids: (number | undefined)[];
let before: number;

const residentMb = (): number => {
  const status = readFileSync(`/proc/${on.mesh.processes.get('gateway')?.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1_024;
};

const bearer = () => ({ authorization: `Bearer ${me.accessToken}` });

beforeAll(async () => {
  const plenty = {
    ANONYMOUS_PER_SECOND: '100000',
    REQUESTS_PER_SECOND: '100000',
    MESSAGES_PER_SECOND: '100000',
  };
  on = await testMesh({
    env: {
      ...plenty,
      UNAUTHENTICATED_PER_ADDRESS: '1000',
      SOCKETS_PER_PERSON: '1000',
      LOG_LEVEL: 'warn',
      // Small enough that what is thrown away is collected soon, and what is kept ends the process.
      NODE_OPTIONS: '--max-old-space-size=96',
    },
  });
  me = await newPerson(on.url);
  healthy = await openDevice(on.url, 'healthy', () => me.accessToken);
  port = Number(new URL(on.url).port);
  pids = [...on.mesh.processes.values()].map(({ pid }) => pid);
  // A first round fills pools and caches, which is no growth.
  for (let round = 0; round < 200; round += 1) await fetch(`${on.url}/v1/me`, { headers: bearer() });
  before = residentMb();
}, 120_000);

afterAll(async () => {
  healthy?.close();
  await on?.[Symbol.asyncDispose]();
}, 60_000);

/** Runs until the time is over; the seed decides the order, the machine how far it gets. */
const fuzz = <T>(arbitrary: fc.Arbitrary<T>, property: (value: T) => Promise<void>) =>
  fc.assert(fc.asyncProperty(arbitrary, property), {
    seed,
    numRuns: 100_000,
    interruptAfterTimeLimit: secondsEach * 1_000,
    endOnFailure: true,
  });

const anyBytes = fc.uint8Array({ minLength: 1, maxLength: 2_000 }).map((bytes) => Buffer.from(bytes));
/** A good text with some of its bytes changed, left out or doubled. */
const damaged = (texts: readonly string[]) =>
  fc
    .tuple(
      fc.constantFrom(...texts),
      fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('put', 'cut', 'double')), { maxLength: 6 }),
    )
    .map(([text, damages]) =>
      damages.reduce<Buffer>((bytes, [where, byte, how]) => {
        const at = where % (bytes.length + 1);
        if (how === 'put')
          return Buffer.concat([bytes.subarray(0, at), Buffer.of(byte), bytes.subarray(at + 1)]);
        if (how === 'cut') return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + (byte % 20))]);
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - byte))]);
      }, Buffer.from(text)),
    );

const post = (path: string, body: string) =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKEN\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

const requests = [
  'GET /v1/me?limit=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKEN\r\nAccept: application/json\r\n\r\n',
  'GET /v1/poll?device=fuzz&waitMs=0&cursor=W10 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKEN\r\n\r\n',
  post('/v1/spaces/personal/messages', '{"clientMessageId":"k","text":"hi","reply":false}'),
  post('/v1/auth/refresh', '{"refreshToken":"none"}'),
  post('/v1/me/preferences', '{"theme":{"dark":[true,null,1.5e3]}}'),
  'POST /sync/event HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n',
];

const frames = [
  '{"type":"message","id":1,"space":"personal","clientMessageId":"k","text":"hi","reply":false}',
  '{"type":"mutate","id":"a","space":"personal","mutations":[{"seq":1,"collection":"task","id":"t","baseVersion":0,"ops":[{"op":"set","path":["a"],"value":1}],"hlc":"0189aabbccdd-0000-fuzz"}]}',
  '{"type":"subscribe","id":2,"space":"personal","epoch":"e","offset":1,"lastId":"x"}',
  '{"type":"sync_request","id":3,"space":"personal","versions":[{"collection":"c","id":"i","version":1,"hash":"h"}]}',
  '{"type":"ack","space":"personal","offset":3}',
  '{"type":"persona_change","id":4,"persona":"cruz"}',
];

const upgrade = () =>
  `GET /v1/connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`;

/** Sends and hangs up; resolves when the gateway has let go too. */
const sendAndLeave = async (bytes: Buffer): Promise<void> => {
  const socket = openRaw(port);
  socket.resume();
  socket.end(bytes);
  await within(answerMs, 'the end of a connection that its peer had ended', gone(socket));
};

const stillFine = async () => {
  await healthy.say('still here');
  const response = await fetch(`${on.url}/v1/me`, {
    headers: bearer(),
    signal: AbortSignal.timeout(answerMs),
  });
  expect(response.status).toBe(200);
  expect([...on.mesh.processes.values()].map(({ pid }) => pid)).toEqual(pids);
};

describe('any bytes', () => {
  it('do no harm on a fresh connection', async () => {
    const request = damaged(requests).map((bytes) =>
      Buffer.from(bytes.toString('latin1').replace('TOKEN', me.accessToken), 'latin1'),
    );
    await fuzz(fc.oneof(request, anyBytes), sendAndLeave);
    await stillFine();
  }, 60_000);

  it('do no harm behind the handshake of a WebSocket', async () => {
    await fuzz(anyBytes, (bytes) => sendAndLeave(Buffer.concat([Buffer.from(upgrade()), bytes])));
    await stillFine();
  }, 60_000);

  it('get an error or a close of the table as frames of an open socket', async () => {
    const allowed = new Set([1007, 4000, 4029]);
    let socket: WebSocket | undefined;
    let open = 0;
    const connected = async (): Promise<WebSocket> => {
      if (socket?.readyState === WebSocket.OPEN) return socket;
      const fresh = new WebSocket(`${on.url.replace('http', 'ws')}/v1/connect`);
      fresh.on('error', () => {});
      await new Promise((resolve, reject) => {
        fresh.once('message', resolve);
        fresh.once('close', () => reject(new Error('closed before welcome')));
        fresh.once('open', () =>
          fresh.send(
            JSON.stringify({
              type: 'hello',
              v: 1,
              token: me.accessToken,
              device: { id: 'fuzz', platform: 'web' },
            }),
          ),
        );
      });
      open += 1;
      socket = fresh;
      return fresh;
    };
    await fuzz(fc.oneof(damaged(frames), anyBytes), async (bytes) => {
      const one = await connected();
      const answered = new Promise<void>((resolve, reject) => {
        const done = () => {
          one.off('message', heard);
          one.off('close', closed);
          resolve();
        };
        const heard = (data: WebSocket.RawData) => {
          if (JSON.parse(String(data)).type === 'pong') done();
        };
        const closed = (code: number) => {
          if (allowed.has(code)) done();
          else reject(new Error(`closed with ${code} for ${bytes.toString('base64')}`));
        };
        one.on('message', heard);
        one.on('close', closed);
      });
      one.send(bytes, { binary: false });
      one.send('{"type":"ping"}');
      await within(answerMs, `an answer to ${bytes.toString('base64')}`, answered);
    });
    socket?.terminate();
    expect(open).toBeGreaterThan(0);
    await stillFine();
  }, 60_000);
});

it('leaves nothing behind', () => {
  expect(residentMb() - before).toBeLessThan(maxGrowthMb);
  expect(on.lines.filter((line) => /"level":"(error|fatal)"/.test(line))).toEqual([]);
});
