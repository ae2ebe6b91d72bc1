import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCommand } from '../src/command.ts';
import { UsageError } from '../src/usage.ts';

let folder: string;
let path: string;
let lines: string[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'skein-cli-config-'));
  path = join(folder, 'config.yaml');
  lines = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const run = (args: readonly string[], signal?: AbortSignal) =>
  runCommand(['config', ...args], {
    env: { CONFIG_URL: `file:${path}` },
    write: (line) => lines.push(line),
    ...(signal === undefined ? {} : { signal }),
  });
const kept = () => readFile(path, 'utf8');

describe('skein config', () => {
  it('sets, shows and takes back a setting, and says what it changed', async () => {
    expect(await run(['set', 'gateway', 'MESSAGES_PER_SECOND=40', 'CORS_ORIGINS=[https://a.example]'])).toBe(
      true,
    );
    expect(lines).toEqual([
      '+ gateway CORS_ORIGINS ["https://a.example"]',
      '+ gateway MESSAGES_PER_SECOND 40',
      `2 setting(s) changed in the file ${path}; running services have them within a second.`,
    ]);
    expect(await kept()).toBe(
      'gateway:\n  MESSAGES_PER_SECOND: 40\n  CORS_ORIGINS:\n    - https://a.example\n',
    );
    lines = [];
    expect(await run(['get', 'gateway', 'MESSAGES_PER_SECOND', '--json'])).toBe(true);
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { scope: 'gateway', name: 'MESSAGES_PER_SECOND', value: 40 },
    ]);
    lines = [];
    await run(['unset', 'gateway', 'MESSAGES_PER_SECOND', 'CORS_ORIGINS']);
    expect(lines).toContain('- gateway MESSAGES_PER_SECOND 40');
    // Emptied, not gone: services must see the difference from a store that lost everything.
    expect(await kept()).toBe('gateway: {}\n');
  });

  it('only says what would change in a dry run', async () => {
    await run(['set', 'all', 'LOG_LEVEL=warn']);
    lines = [];
    expect(await run(['set', 'all', 'LOG_LEVEL=debug', '--dry-run'])).toBe(true);
    expect(lines).toEqual([
      '- all LOG_LEVEL warn\n+ all LOG_LEVEL debug',
      `1 setting(s) would change in the file ${path}.`,
    ]);
    expect(await kept()).toBe('all:\n  LOG_LEVEL: warn\n');
  });

  it.each([
    [
      ['set', 'gateway', 'MESSAGES_PER_SECOND=0'],
      'gateway: MESSAGES_PER_SECOND must be a whole number from 1',
    ],
    [['set', 'gateway', 'MESAGES=5'], 'gateway: "MESAGES" is not one of its settings'],
    [
      ['set', 'gateway', 'PORT=80'],
      'gateway: PORT is read when the process starts: set it in the environment',
    ],
    [['set', 'all', 'MESSAGES_PER_SECOND=5'], 'all: "MESSAGES_PER_SECOND" is not one of its settings'],
    [['set', 'session-sync', 'COLLECTION_POLICIES={task: {strategy: chance}}'], 'task.strategy'],
  ])('refuses %j', async (args, sentence) => {
    await expect(run(args)).rejects.toThrow(sentence);
    await expect(kept()).rejects.toThrow('ENOENT');
  });

  it('takes no secret, and shows none that got in by hand', async () => {
    const secret = 'hunter2-hunter2-hunter2-hunter2-hunter2';
    const refusal = await run(['set', 'auth', `AUTH_MASTER_KEY=${secret}`]).catch(String);
    expect(refusal).toContain('AUTH_MASTER_KEY is read when the process starts');
    await writeFile(path, `auth: { AUTH_MASTER_KEY: ${secret}, AUTH_LOGINS_PER_MINUTE: 5 }\n`);
    expect(await run(['get'])).toBe(false);
    await run(['get', '--json']);
    await run(['export']);
    await run(['unset', 'auth', 'AUTH_MASTER_KEY']);
    expect(lines).toContain('auth AUTH_LOGINS_PER_MINUTE 5');
    expect(lines.join('\n') + refusal).not.toContain('hunter2');
    expect(await kept()).not.toContain('hunter2');
  });

  it('imports what it has exported, and only the scopes that are in the file', async () => {
    await run(['set', 'all', 'LOG_LEVEL=warn']);
    await run(['set', 'agent', 'AGENT_MAX_TURNS=5']);
    const exported = join(folder, 'export.json');
    expect(await run(['export', exported])).toBe(true);
    await run(['set', 'agent', 'AGENT_MAX_TURNS=9']);
    expect(await run(['import', exported])).toBe(true);
    expect(await kept()).toBe('all:\n  LOG_LEVEL: warn\nagent:\n  AGENT_MAX_TURNS: 5\n');
    const part = join(folder, 'part.yaml');
    await writeFile(part, 'agent:\n');
    await run(['import', part]);
    expect(await kept()).toBe('all:\n  LOG_LEVEL: warn\nagent: {}\n');
  });

  it.each([
    ['agents: { AGENT_MAX_TURNS: 5 }\n', 'agents: there is no such scope: it is all, agent,'],
    ['agent: 5\n', 'agent must be a mapping of settings'],
    ['agent: [\n', 'is not YAML'],
    [
      'agent: { AGENT_MAX_TURNS: 5 }\nauth: { AUTH_LOGINS_PER_MINUTE: many }\n',
      'auth: AUTH_LOGINS_PER_MINUTE must',
    ],
  ])('imports nothing of a file with a fault: %j', async (text, sentence) => {
    const file = join(folder, 'import.yaml');
    await writeFile(file, text);
    await expect(run(['import', file])).rejects.toThrow(sentence);
    await expect(kept()).rejects.toThrow('ENOENT');
  });

  it('loses no change of two people at once', async () => {
    await Promise.all([
      run(['set', 'gateway', 'MESSAGES_PER_SECOND=40']),
      run(['set', 'gateway', 'MESSAGES_BURST=80']),
    ]);
    expect(await kept()).toMatch(/MESSAGES_PER_SECOND: 40/);
    expect(await kept()).toMatch(/MESSAGES_BURST: 80/);
  });

  it('prints each change while it watches', async () => {
    const ending = new AbortController();
    const watching = run(['watch'], ending.signal);
    await expect.poll(() => lines.join()).toContain('Watching');
    await writeFile(path, 'all: { LOG_LEVEL: debug }\n');
    await expect.poll(() => lines).toContain('+ all LOG_LEVEL debug');
    await writeFile(path, 'all: { LOG_LEVEL: loud }\n');
    await expect
      .poll(() => lines.join())
      .toContain('not valid, and so not in use: all: LOG_LEVEL must be one of');
    ending.abort();
    expect(await watching).toBe(true);
  });

  it('says what is missing', async () => {
    const bare = { env: {}, write: () => {} };
    await expect(runCommand(['config', 'get'], bare)).rejects.toThrow('Set CONFIG_URL');
    await expect(run(['set', 'everything', 'A=1'])).rejects.toThrow(UsageError);
    await expect(run(['set', 'all', 'LOG_LEVEL'])).rejects.toThrow('Write NAME=VALUE.');
    await expect(run(['unset', 'all'])).rejects.toThrow('Name one or more settings.');
    await expect(run(['import'])).rejects.toThrow('Name the file');
    await expect(run(['drop'])).rejects.toThrow('There is no command "config drop".');
  });
});
