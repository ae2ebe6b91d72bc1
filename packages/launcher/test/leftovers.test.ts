import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { belongsTo, endLeftovers, recordProcesses, runVariable } from '../src/leftovers.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A process that runs `script` as one of that start; ready when it has written something. */
const leftover = async (run: string, script: string) => {
  const child = spawn(process.execPath, ['-e', `${script}; setInterval(() => {}, 1000); console.log('up')`], {
    env: { PATH: process.env['PATH'], [runVariable]: run },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.push(child);
  await once(child.stdout, 'data');
  return { child, pid: child.pid ?? 0, exited: once(child, 'exit') };
};

describe('what a killed start left behind', () => {
  it('is waited for while it drains', async () => {
    using dir = temporaryDirectory();
    const { pid, child, exited } = await leftover(
      'r1',
      `process.stdin.on('end', () => process.exit(7)).resume()`,
    );
    recordProcesses(dir.path, 'r1').note('auth', pid);
    const told: string[] = [];
    const ended = endLeftovers(dir.path, (line) => told.push(line));
    child.stdin?.end();
    await ended;
    expect(await exited).toEqual([7, null]);
    expect(told).toEqual([`ending what a start that was killed has left behind: auth (${pid})`]);
    expect(existsSync(join(dir.path, 'processes.json'))).toBe(false);
  });

  it('is killed when it does not end', async () => {
    using dir = temporaryDirectory();
    const { pid, exited } = await leftover('r1', `process.on('SIGTERM', () => {})`);
    recordProcesses(dir.path, 'r1').note('auth', pid);
    await endLeftovers(dir.path, () => {});
    expect(await exited).toEqual([null, 'SIGKILL']);
  });

  it('is not mistaken for a process that got the same id later', async () => {
    using dir = temporaryDirectory();
    const { pid } = await leftover('another start', '');
    expect(belongsTo(pid, 'another start')).toBe(true);
    recordProcesses(dir.path, 'r1').note('auth', pid);
    const told: string[] = [];
    await endLeftovers(dir.path, (line) => told.push(line));
    expect(told).toEqual([]);
    expect(belongsTo(pid, 'another start')).toBe(true);
  });

  it('is nothing after a clean stop, and after a record that was cut off', async () => {
    using dir = temporaryDirectory();
    const told: string[] = [];
    const record = recordProcesses(dir.path, 'r1');
    record.note('auth', process.pid);
    record.clear();
    await endLeftovers(dir.path, (line) => told.push(line));
    writeFileSync(join(dir.path, 'processes.json'), '{"run":"r1","pi');
    await endLeftovers(dir.path, (line) => told.push(line));
    expect(told).toEqual([]);
  });
});
