import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ProcessEndedError,
  type ProcessEvent,
  type SupervisedProcess,
  supervise,
} from '../src/supervised-process.ts';
import { temporaryDirectory } from './temporary-directory.ts';

let dir: ReturnType<typeof temporaryDirectory>;
let running: SupervisedProcess[];
let events: ProcessEvent[];
beforeEach(() => {
  dir = temporaryDirectory();
  running = [];
  events = [];
});
afterEach(async () => {
  for (const one of running) await one.stop();
  dir[Symbol.dispose]();
});

const sayReady = `process.send({ type: 'ready' });`;
const stayAlive = `setInterval(() => {}, 1000);`;
/** In how many lives this is, from 1. */
const life = `
  const fs = require('node:fs');
  fs.appendFileSync('lives', 'x');
  const life = fs.readFileSync('lives', 'utf8').length;`;

const supervised = (
  script: string,
  over: { command?: string; readyTimeoutMs?: number; stopTimeoutMs?: number } = {},
) => {
  const path = join(dir.path, 'child.cjs');
  writeFileSync(path, `process.chdir(${JSON.stringify(dir.path)});\n${script}`);
  const one = supervise(
    {
      name: 'child',
      command: over.command ?? process.execPath,
      args: [path],
      env: () => ({ PATH: process.env['PATH'] ?? '', GREETING: `hello ${events.length}` }),
      readyTimeoutMs: over.readyTimeoutMs ?? 10_000,
      stopTimeoutMs: over.stopTimeoutMs ?? 10_000,
    },
    (event) => events.push(event),
  );
  running.push(one);
  return one;
};

const lines = () => events.flatMap((event) => (event.kind === 'line' ? [event.line] : []));
const exits = () => events.filter((event) => event.kind === 'exited');
const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('a supervised process', () => {
  it('is ready when it says so, in a fresh environment, with every line passed on', async () => {
    const one = supervised(`
      console.log(process.env.GREETING, Object.keys(process.env).filter((name) => name !== 'PATH').join());
      process.stderr.write('an error\\nand no end');
      process.once('SIGTERM', () => { process.stdout.write('last words'); process.exit(0); });
      ${sayReady} ${stayAlive}`);
    await one.run();
    expect(one.pid).toBeTypeOf('number');
    expect(one.starts).toBe(1);
    await one.ready();
    await one.stop();
    expect(lines().sort()).toEqual(['an error', 'and no end', 'hello 0 GREETING', 'last words'].sort());
    expect(events.map((event) => event.kind).filter((kind) => kind !== 'line')).toEqual(['started', 'ready']);
    expect(one.pid).toBeUndefined();
  });

  it('is started again when it dies, later and later', async () => {
    const one = supervised(`${life} if (life > 1 && life < 4) process.exit(3); ${sayReady} ${stayAlive}`);
    await one.run();
    one.kill('SIGKILL');
    await expect.poll(() => one.starts).toBe(4);
    await one.ready();
    expect(exits()).toEqual([
      { kind: 'exited', code: null, signal: 'SIGKILL', restartInMs: 100 },
      { kind: 'exited', code: 3, signal: null, restartInMs: 200 },
      { kind: 'exited', code: 3, signal: null, restartInMs: 400 },
    ]);
  });

  it('fails the start when its first life ends before it is ready, with what it said', async () => {
    const one = supervised(`console.error('no luck'); process.exit(69);`);
    const failed = one.run();
    await expect(failed).rejects.toThrow('child ended before it was ready (exit 69)');
    await expect(failed).rejects.toMatchObject({ process: 'child', code: 69, lastLines: ['no luck'] });
    await expect(one.ready()).rejects.toBeInstanceOf(ProcessEndedError);
    expect(one.starts).toBe(1);
  });

  it('is not started again after a wrong configuration (exit 78)', async () => {
    const one = supervised(`${life} if (life === 2) process.exit(78); ${sayReady} ${stayAlive}`);
    await one.run();
    one.kill('SIGKILL');
    await expect.poll(exits).toHaveLength(2);
    expect(exits()[1]).toMatchObject({ code: 78, restartInMs: undefined });
    await expect(one.ready()).rejects.toMatchObject({ code: 78 });
    expect(one.starts).toBe(2);
  });

  it('is ended when it does not get ready in time', async () => {
    const one = supervised(`console.log('thinking'); ${stayAlive}`, { readyTimeoutMs: 300 });
    await expect(one.run()).rejects.toThrow('child ended before it was ready (SIGKILL)');
    expect(lines().at(-1)).toBe('not ready after 300 ms');
  });

  it('says so when there is no such program', async () => {
    const one = supervised('', { command: join(dir.path, 'nothing') });
    await expect(one.run()).rejects.toMatchObject({
      lastLines: [expect.stringMatching(/^could not be started: .*ENOENT/)],
    });
  });

  it('is killed when SIGTERM does not end it', async () => {
    const one = supervised(`process.on('SIGTERM', () => console.log('no')); ${sayReady} ${stayAlive}`, {
      stopTimeoutMs: 200,
    });
    await one.run();
    const pid = one.pid ?? 0;
    await one.stop();
    expect(isAlive(pid)).toBe(false);
    expect(lines()).toEqual(['no']);
  });

  it('is not started again once it was stopped, dead or alive', async () => {
    const one = supervised(`${life} ${sayReady} ${stayAlive}`);
    await one.run();
    one.kill('SIGKILL');
    await expect.poll(exits).toHaveLength(1);
    await one.stop();
    expect(one.kill('SIGTERM')).toBe(false);
    await expect(one.ready()).rejects.toThrow('child was stopped');
    expect(one.starts).toBe(1);
  });

  it('rejects the start that a stop interrupts', async () => {
    const one = supervised(`console.log('up'); ${stayAlive}`);
    const started = one.run();
    const failed = expect(started).rejects.toThrow('child was stopped');
    await expect.poll(lines).toEqual(['up']);
    await one.stop();
    await failed;
    expect(one.pid).toBeUndefined();
  });

  it('counts as ended although somebody it started keeps its output open', async () => {
    const one = supervised(`
      const child = require('node:child_process').spawn('sleep', ['30'], { stdio: 'inherit', detached: true });
      console.log(child.pid); ${sayReady} ${stayAlive}`);
    await one.run();
    await expect.poll(lines).toHaveLength(1);
    await one.stop();
    process.kill(Number(lines()[0]), 'SIGKILL');
  });

  it('stays out of our process group, so that Ctrl-C reaches us alone', async () => {
    const one = supervised(`${sayReady} ${stayAlive}`);
    await one.run();
    // Signal 0 to a group succeeds only where the process leads one.
    expect(process.kill(-(one.pid ?? 0), 0)).toBe(true);
  });
});
