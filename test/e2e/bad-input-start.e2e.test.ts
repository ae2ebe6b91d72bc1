import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { embeddedPostgres } from '@skein/postgres';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openSocket } from './bad-input/answered.ts';
import { classicError, errorFrame, problem } from './bad-input/answers.ts';
import { configurationCases, databaseCases, goodEnvironment } from './bad-input/process-cases.ts';
import { type Device, openDevice } from './support/device.ts';
import { loneService } from './support/lone-service.ts';
import { newPerson, type Person, type TestMesh, testMesh } from './support/mesh.ts';

const places: string[] = [];
/** A database of the test's own, which it may stop; not started. */
const ownDatabase = () => {
  const place = mkdtempSync(join(tmpdir(), 'skein-own-database-'));
  // As root the database runs as somebody else, who has to get in.
  chmodSync(place, 0o755);
  places.push(place);
  return embeddedPostgres({ dataDir: join(place, 'postgres') });
};

afterAll(() => {
  for (const place of places) rmSync(place, { recursive: true, force: true });
});

/** A port that nothing listens on. */
const closedPort = (): Promise<number> =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address();
      const port = typeof address === 'object' && address ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });

describe('a wrong configuration ends the process with every fault, before it listens', () => {
  it.each(configurationCases)('$what', async ({ service, env, exitCode, says }) => {
    await using one = loneService(service, env);
    expect(await one.exit).toBe(exitCode);
    expect(one.stderr).toBe(says);
    // No line of the log: nothing was opened, nothing listens.
    expect(one.log).toBe('');
  });
});

describe.concurrent(databaseCases.atStart.what, () => {
  const { waits, gaveUp, exitCode } = databaseCases.atStart;

  it('waits for it and goes on as soon as it is there', async () => {
    const database = ownDatabase();
    try {
      await using user = loneService('user', { ...goodEnvironment, DATABASE_URL: database.url });
      await user.logged(waits);
      expect(user.log).not.toContain('"msg":"ready"');
      await database.run();
      await user.logged('"msg":"ready"');
    } finally {
      await database.stop();
    }
  }, 60_000);

  it.each(['auth', 'session-sync'])(
    'gives up after 30 s with a sentence (%s)',
    async (service) => {
      const target = `127.0.0.1:${await closedPort()}`;
      await using one = loneService(service, {
        ...goodEnvironment,
        DATABASE_URL: `postgres://nobody@${target}/none`,
      });
      const began = performance.now();
      expect(await one.exit).toBe(exitCode);
      const afterMs = performance.now() - began;
      expect(afterMs).toBeGreaterThan(25_000);
      expect(afterMs).toBeLessThan(45_000);
      const lines = one.log
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { level: string; msg: string });
      expect(lines.filter(({ msg }) => msg === waits).length).toBeGreaterThan(3);
      expect(lines.at(-1)).toMatchObject({ level: 'fatal', msg: gaveUp.replaceAll('{target}', target) });
      expect(one.log).not.toContain('listens');
    },
    60_000,
  );
});

describe(databaseCases.later.what, () => {
  const { detail } = databaseCases.later;
  const database = ownDatabase();
  let on: TestMesh;
  let me: Person;
  let phone: Device;

  beforeAll(async () => {
    await database.run();
    on = await testMesh({ env: { DATABASE_URL: database.url } });
    me = await newPerson(on.url);
    phone = await openDevice(on.url, 'phone', () => me.accessToken);
    await phone.say('before');
    await database.stop();
  }, 120_000);

  afterAll(async () => {
    phone?.close();
    await on?.[Symbol.asyncDispose]();
    await database.stop();
  }, 60_000);

  const ask = async (path: string, body?: object) => {
    const response = await fetch(on.url + path, {
      headers: {
        authorization: `Bearer ${me.accessToken}`,
        ...(body ? { 'content-type': 'application/json' } : {}),
      },
      ...(body ? { method: 'POST', body: JSON.stringify(body) } : {}),
      signal: AbortSignal.timeout(10_000),
    });
    const { traceId: _, ...said } = (await response.json()) as Record<string, unknown>;
    return { status: response.status, said };
  };

  it.each([
    ['/v1/me', undefined],
    ['/v1/spaces/personal/events', undefined],
    ['/v1/stream?device=new', undefined],
    ['/v1/poll?device=new', undefined],
    ['/v1/spaces/personal/messages', () => ({ clientMessageId: 'k', text: 'meanwhile' })],
    ['/v1/auth/login', () => ({ email: me.email, password: me.password })],
    ['/message/unified', () => ({ user_id: me.id, platform: 'web', content: 'meanwhile' })],
  ])('%s answers 503', async (path, body) => {
    expect(await ask(path, body?.())).toEqual({ status: 503, said: problem(503, 'unavailable', detail) });
  });

  it('does not matter to what needs no database', async () => {
    expect(await ask('/readyz')).toEqual({ status: 200, said: { status: 'ready' } });
    expect((await ask('/v1/config/client')).status).toBe(200);
    expect(
      (await fetch(`${on.url}/v1/me`, { headers: { authorization: 'Bearer x.y.z' } })).status,
      'tokens are still checked',
    ).toBe(401);
  });

  it('closes new sockets with 4013, never 4001', async () => {
    const leaves = { code: 4013, reason: '{"retryAfterMs":[500,10000]}' };
    const one = await openSocket(on.url, '/v1/connect');
    one.socket.send(
      JSON.stringify({ type: 'hello', v: 1, token: me.accessToken, device: { id: 'new', platform: 'web' } }),
    );
    await vi.waitFor(() => expect(one.closed).toEqual(leaves), { timeout: 10_000 });
    expect(one.frames).toEqual([errorFrame('unavailable', detail)]);
    const classic = await openSocket(on.url, `/ws/${me.id}?token=${me.accessToken}`);
    await vi.waitFor(() => expect(classic.closed).toEqual(leaves), { timeout: 10_000 });
    expect(classic.frames).toEqual([classicError('unavailable', detail)]);
  });

  it('answers requests of an open socket with unavailable, and goes on by itself afterwards', async () => {
    const failed = phone.request({
      type: 'message',
      space: 'personal',
      clientMessageId: 'm',
      text: 'meanwhile',
    });
    await expect(failed).rejects.toMatchObject({
      frame: { code: 'unavailable', message: detail, retryable: true },
    });
    await database.run();
    const { turnId } = await phone.say('afterwards');
    await phone.until('the answer', (frame) => {
      const event = frame['event'] as { type?: string; data?: { turnId?: string } } | undefined;
      return event?.type === 'message.completed' && event.data?.turnId === turnId;
    });
    expect((await ask('/v1/me')).status).toBe(200);
    expect(phone.connections, 'the socket stayed').toBe(1);
    expect([...on.mesh.processes.values()].map(({ starts }) => starts)).toEqual([1, 1, 1, 1, 1]);
  }, 60_000);
});
