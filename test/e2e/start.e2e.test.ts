import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Launched, type Place, place } from './support/launcher.ts';

const giveUpMs = 60_000;
const ready = /^Skein is ready after ([\d.]+) s: {2}(\S+)$/;

const login = async (launched: Launched): Promise<number> => {
  const url = (await launched.line(ready))[2];
  const [, email, password] = await launched.line(/^ {2}sign in +(\S+) {2}(\S+)$/);
  const response = await fetch(`${url}/v1/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email, password }),
  });
  await response.arrayBuffer();
  return response.status;
};

describe('npm start', () => {
  let at: Place;
  beforeAll(async () => {
    at = await place();
  });
  afterAll(() => at?.[Symbol.asyncDispose]());

  it('prints an address and a login that works', async () => {
    const started = at.start([], { LOG_LEVEL: 'info' });
    expect((await started.line(ready))[2]).toBe(`http://127.0.0.1:${at.port}`);
    expect(await login(started)).toBe(200);

    const second = at.start();
    expect(await second.ended).toBe(69);
    expect(second.lines).toContain(
      `Skein already runs here (process ${started.pid}, data in ${at.dataDir}): stop it first, or give this copy its own --data-dir and --port.`,
    );
    expect(await login(started)).toBe(200);

    started.signal('SIGINT');
    expect(await started.ended).toBe(0);
    expect(at.processes()).toEqual([]);
    const stopped = started.lines.flatMap((line) => /(\S+) +info +stopped$/.exec(line)?.[1] ?? []);
    expect(stopped).toEqual(['gateway', 'agent', 'session-sync', 'user', 'auth']);
  }, 120_000);

  it('starts again with the same login, quickly once everything is there', async () => {
    const started = at.start();
    const [, seconds] = await started.line(ready);
    process.stdout.write(`warm start: ready after ${seconds} s\n`);
    // Far above what an idle machine takes (docs/reference/benchmarks.md), for one that is busy with other tests.
    expect(Number(seconds)).toBeLessThan(20);
    expect(await login(started)).toBe(200);
    started.signal('SIGTERM');
    expect(await started.ended).toBe(0);
    expect(at.processes()).toEqual([]);
  }, 120_000);

  it('ends everything when it is stopped before it is ready', async () => {
    const started = at.start();
    await started.line(/postgres +ready/);
    started.signal('SIGINT');
    expect(await started.ended).toBe(0);
    expect(started.lines.filter((line) => ready.test(line))).toEqual([]);
    expect(at.processes()).toEqual([]);
  }, 60_000);

  it('ends everything at once when it is asked a second time', async () => {
    const started = at.start();
    await started.line(ready);
    // A service that does not stop keeps the first request waiting.
    const gateway = at.processes().find((one) => one.command.includes('skein-gateway'));
    process.kill(gateway?.pid ?? 0, 'SIGSTOP');
    started.signal('SIGINT');
    await started.line(/draining/);
    const askedAt = performance.now();
    await expect.poll(() => performance.now() - askedAt, { timeout: giveUpMs }).toBeGreaterThan(1_000);
    started.signal('SIGINT');
    expect(await started.ended).toBe(1);
    await expect.poll(() => at.processes(), { timeout: giveUpMs }).toEqual([]);
  }, 120_000);

  it.each([[[]], [['--mesh']]])(
    'works again at once after it was killed (%j)',
    async (args) => {
      const killed = at.start(args);
      await killed.line(ready);
      process.kill(killed.pid, 'SIGKILL');
      await killed.ended;
      const started = at.start(args);
      expect(await login(started)).toBe(200);
      // Nothing of the killed start is left beside the new one.
      const times = (program: string) => at.processes().filter((one) => one.command.includes(program)).length;
      const instances = args.length === 0 ? 1 : 2;
      expect(times('skein-gateway')).toBe(instances);
      expect(times('nats-server --config')).toBe(instances - 1);
      expect(times('consul agent')).toBe(instances - 1);
      started.signal('SIGINT');
      expect(await started.ended).toBe(0);
      await expect.poll(() => at.processes(), { timeout: giveUpMs }).toEqual([]);
    },
    180_000,
  );

  it('names the busy port and the option that moves it', async () => {
    const other = createServer().listen(at.port + 22, '127.0.0.1');
    await once(other, 'listening');
    const started = at.start();
    expect(await started.ended).toBe(69);
    expect(started.lines.at(-1)).toBe(
      `Port ${at.port + 22} (gRPC of user) is in use: stop what listens there, or choose another with --grpc-port.`,
    );
    other.close();
    expect(at.processes()).toEqual([]);
  }, 60_000);

  it('lists every wrong setting and listens nowhere', async () => {
    const env = {
      DATABASE_POOL_SIZE: 'abc',
      CALL_TIMEOUT_MS: 'soon',
      AGENT_MAX_TURNS: '0',
      LOG_LEVEL: 'info',
    };
    const started = at.start([], env);
    expect(await started.ended).toBe(78);
    const said = started.lines.join('\n');
    const end = said.slice(said.indexOf(' did not start: '));
    expect(end).toContain('DATABASE_POOL_SIZE must be a whole number from 1 to 100, not "abc"');
    expect(end).toContain('CALL_TIMEOUT_MS must be a whole number');
    expect(end).toContain('AGENT_MAX_TURNS must be a whole number from 1 to 10000, not "0"');
    expect(said).not.toContain('listens');
    expect(at.processes()).toEqual([]);
  }, 60_000);

  it('tells programs in JSON what it tells people', async () => {
    const started = at.start(['--json']);
    await started.line(/"ready":true/);
    started.signal('SIGINT');
    expect(await started.ended).toBe(0);
    const said = started.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(said.find((one) => one['ready'])).toMatchObject({
      url: `http://127.0.0.1:${at.port}`,
      login: { email: expect.any(String), passwordIn: expect.stringMatching(/secrets\.json$/) },
      uses: { database: expect.any(String) },
    });
  }, 60_000);
});

describe('a service on its own', () => {
  it('waits for a database that is down, says so, and gives up with a sentence', async () => {
    await using at = await place();
    const main = fileURLToPath(new URL('../../services/user/src/main.ts', import.meta.url));
    const service = spawn(process.execPath, [main], {
      env: {
        PATH: process.env['PATH'],
        DATABASE_URL: `postgres://skein@127.0.0.1:${at.port}/skein`,
        DISCOVERY_URL: 'static:auth=127.0.0.1:1,session-sync=127.0.0.1:1,agent=127.0.0.1:1',
        INTERNAL_SECRET: 'x'.repeat(32),
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [out, [code]] = await Promise.all([text(service.stdout), once(service, 'close')]);
    expect(code).toBe(69);
    expect(out).toMatch(/"level":"warn".*waiting for the database/);
    expect(out).toMatch(
      new RegExp(
        `"level":"fatal".*PostgreSQL at [^"]*:${at.port}[^"]* did not answer within 30 s \\(.*\\): start it, or set DATABASE_URL to where it runs`,
      ),
    );
  }, 90_000);
});
