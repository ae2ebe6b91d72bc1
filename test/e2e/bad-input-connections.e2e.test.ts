import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { gone, openRaw, openSocket, parsedAnswer, rawAnswer } from './bad-input/answered.ts';
import { connectionCases } from './bad-input/connection-cases.ts';
import { newPerson, type Person, type TestMesh, testMesh } from './support/mesh.ts';

/**
 * Every address of 127/8 is this machine on Linux, where this runs: one is the attacker's, the rest of the test is at
 * another.
 */
const attacker = '127.0.0.66';
/** What the gateway may grow by while it is flooded, most of it garbage that waits for its collection. */
const maxGrowthMb = 100;
/** Timers of the gateway are looked at once a second. */
const lateMs = 4_000;

let on: TestMesh;
let me: Person;
let port: number;
let gatewayPid: number | undefined;

beforeAll(async () => {
  // With so small a heap, whatever grows with the number of connections ends the process.
  on = await testMesh({ env: { NODE_OPTIONS: '--max-old-space-size=96' } });
  me = await newPerson(on.url);
  port = Number(new URL(on.url).port);
  gatewayPid = on.mesh.processes.get('gateway')?.pid;
}, 120_000);

afterAll(async () => {
  await on?.[Symbol.asyncDispose]();
}, 60_000);

const upgrade = (path = '/v1/connect') =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`;

const residentMb = (): number => {
  const status = readFileSync(`/proc/${gatewayPid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1_024;
};

const profile = async (): Promise<number> =>
  (await fetch(`${on.url}/v1/me`, { headers: { authorization: `Bearer ${me.accessToken}` } })).status;

/** Opens one connection of the attacker's; resolves with the status, the connection left as it is. */
const knock = (open: Socket[]): Promise<{ status: number; answer: string }> =>
  new Promise((resolve) => {
    const socket = openRaw(port, attacker);
    open.push(socket);
    let answer = '';
    const told = () => resolve({ status: Number(answer.slice(9, 12)), answer });
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
      if (answer.startsWith('HTTP/1.1 101')) told();
    });
    socket.on('close', told);
    socket.write(upgrade());
  });

describe(connectionCases.flood.what, () => {
  const { connections, taken, refusal } = connectionCases.flood;
  const waveOf = 500;

  it('takes 50, refuses the others with 429, serves everybody else and stays small', async () => {
    const before = residentMb();
    const open: Socket[] = [];
    const counts = new Map<number, number>();
    const refused = new Set<string>();
    for (let done = 0; done < connections; done += waveOf) {
      const wave = await Promise.all(Array.from({ length: waveOf }, () => knock(open)));
      for (const { status, answer } of wave) {
        counts.set(status, (counts.get(status) ?? 0) + 1);
        if (status !== 101) refused.add(answer);
      }
      expect(await profile()).toBe(200);
    }
    // Those that were taken are closed after 5 s, and others come in for them.
    const inTheEnd = Number(counts.get(101));
    expect(inTheEnd).toBeGreaterThanOrEqual(taken);
    expect(inTheEnd).toBeLessThanOrEqual(taken * 10);
    expect([...counts.keys()].sort()).toEqual([101, 429]);
    expect(refused.size).toBe(1);
    const [answer = ''] = refused;
    expect(parsedAnswer(answer)).toEqual({ status: 429, body: refusal.body });
    for (const header of refusal.headers) expect(answer).toContain(`\r\n${header}\r\n`);
    expect(residentMb() - before).toBeLessThan(maxGrowthMb);
    expect(on.mesh.processes.get('gateway')?.pid).toBe(gatewayPid);
    for (const socket of open) socket.destroy();
  }, 60_000);

  it('does nothing of what a refused connection asks', async () => {
    const open: Socket[] = [];
    await Promise.all(Array.from({ length: taken }, () => knock(open)));
    const credentials = JSON.stringify({
      email: `${randomBytes(8).toString('hex')}@example.test`,
      password: 'correct horse',
    });
    const asked = `POST /v1/auth/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${credentials.length}\r\n\r\n${credentials}`;
    const { status } = parsedAnswer(await rawAnswer(port, Buffer.from(asked), { localAddress: attacker }));
    expect(status).toBe(429);
    const login = await fetch(`${on.url}/v1/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: credentials,
    });
    expect(login.status).toBe(401);
    for (const socket of open) socket.destroy();
  });

  it('cuts a refused connection that neither reads nor leaves', async () => {
    const open: Socket[] = [];
    await Promise.all(Array.from({ length: taken }, () => knock(open)));
    const stubborn = openRaw(port, attacker).pause();
    const began = performance.now();
    const drip = setInterval(() => stubborn.write('x'), 200);
    await gone(stubborn);
    clearInterval(drip);
    expect(performance.now() - began).toBeLessThan(lateMs);
    for (const socket of open) socket.destroy();
  });

  it('takes the address again when its connections have gone', async () => {
    await vi.waitFor(
      async () => {
        const open: Socket[] = [];
        const { status } = await knock(open);
        for (const socket of open) socket.destroy();
        expect(status).toBe(101);
      },
      { timeout: 10_000, interval: 200 },
    );
  });

  it('counts a person who has signed in no more', async () => {
    // One connection kept open, signed in: fifty strangers of the same address are still taken.
    const agent = new Agent({ keepAlive: true, maxSockets: 1, localAddress: attacker });
    const signedIn = () =>
      new Promise<number | undefined>((resolve, reject) => {
        const headers = { authorization: `Bearer ${me.accessToken}` };
        request(`${on.url}/v1/me`, { agent, headers }, (response) => {
          response.resume().on('end', () => resolve(response.statusCode));
        })
          .on('error', reject)
          .end();
      });
    expect(await signedIn()).toBe(200);
    const open: Socket[] = [];
    const knocks = await Promise.all(Array.from({ length: taken }, () => knock(open)));
    expect(knocks.map(({ status }) => status)).toEqual(Array<number>(taken).fill(101));
    expect(await signedIn()).toBe(200);
    agent.destroy();
    for (const socket of open) socket.destroy();
  });
});

/** Resolves with what came and how long it took until the peer closed; `drip` is sent once a second until then. */
const untilClosed = async (first: string, drip: string): Promise<{ answer: string; afterMs: number }> => {
  const socket = openRaw(port);
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    answer += text;
  });
  const began = performance.now();
  socket.write(first);
  const timer = drip === '' ? undefined : setInterval(() => socket.write(drip), 1_000);
  await gone(socket);
  clearInterval(timer);
  return { answer, afterMs: performance.now() - began };
};

const inTime = (afterMs: number, wantedMs: number) => {
  expect(afterMs).toBeGreaterThan(wantedMs - 500);
  expect(afterMs).toBeLessThan(wantedMs + lateMs);
};

describe.concurrent('a slow peer', () => {
  it(connectionCases.slowHeaders.what, async () => {
    const { afterMs, answer } = await untilClosed('GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ', 'x');
    expect(parsedAnswer(answer)).toEqual({ status: 408, body: connectionCases.slowHeaders.body });
    inTime(afterMs, connectionCases.slowHeaders.afterMs);
  }, 30_000);

  it(connectionCases.silent.what, async () => {
    const { afterMs, answer } = await untilClosed('', '');
    expect(parsedAnswer(answer).body).toEqual(connectionCases.slowHeaders.body);
    inTime(afterMs, connectionCases.silent.afterMs);
  }, 30_000);

  it(connectionCases.slowBody.what, async () => {
    const { afterMs, answer } = await untilClosed(
      'POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n',
      ' ',
    );
    expect(parsedAnswer(answer)).toEqual({ status: 408, body: connectionCases.slowHeaders.body });
    inTime(afterMs, connectionCases.slowBody.afterMs);
  }, 45_000);

  it.each([['/v1/connect'], [`/ws/somebody`]])('%s without a first frame', async (path) => {
    const one = await openSocket(on.url, path);
    const began = performance.now();
    await once(one.socket, 'close');
    expect(one.closed).toEqual(connectionCases.noHello.close);
    inTime(performance.now() - began, connectionCases.noHello.afterMs);
  });

  it.each([
    ['half a frame', (socket: Socket) => socket.write(Buffer.from([0x81, 0xfe, 0x10, 0x00, 1, 2, 3, 4, 5]))],
    ['pings', (socket: Socket) => socket.write(Buffer.from([0x89, 0x80, 1, 2, 3, 4]))],
    ['an unfinished message', (socket: Socket) => socket.write(Buffer.from([0x01, 0x81, 0, 0, 0, 0, 0x7b]))],
  ])(
    '%s instead of a first frame',
    async (_, send) => {
      const socket = openRaw(port);
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.write(upgrade());
      const began = performance.now();
      await once(socket, 'data');
      send(socket);
      // A close frame of the server: 0x88, its length, the code, the reason.
      const { code, reason } = connectionCases.halfFrame.close;
      const head = Buffer.from([0x88, 2 + reason.length, code >> 8, code & 0xff]);
      await vi.waitFor(
        () => expect(Buffer.concat(chunks).includes(Buffer.concat([head, Buffer.from(reason)]))).toBe(true),
        { timeout: 12_000 },
      );
      inTime(performance.now() - began, connectionCases.halfFrame.afterMs);
      socket.destroy();
    },
    20_000,
  );
});

it('has stayed the same process', () => {
  expect(on.mesh.processes.get('gateway')?.pid).toBe(gatewayPid);
});
