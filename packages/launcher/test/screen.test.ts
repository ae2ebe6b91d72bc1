import { expect, it } from 'vitest';
import { jsonScreen, textScreen } from '../src/screen.ts';

const summary = {
  url: 'http://127.0.0.1:8002',
  readyMs: 1_449,
  login: { email: 'demo@skein.localhost', password: 'secret', keptIn: '/data/secrets.json' },
  uses: { database: 'embedded PostgreSQL' },
};

it('tells people what is ready, what ended and what happens next', () => {
  const lines: string[] = [];
  const screen = textScreen((line) => lines.push(line.trim()), false);
  screen.event('auth', { kind: 'started', pid: 7 });
  screen.event('auth', { kind: 'ready', afterMs: 1_234 });
  screen.event('auth', { kind: 'exited', code: null, signal: 'SIGKILL', restartInMs: 100 });
  screen.event('auth', { kind: 'exited', code: 78, signal: null, restartInMs: undefined });
  expect(lines).toEqual([
    'auth           ready after 1.2 s',
    'auth           ended (SIGKILL), starting it again in 100 ms',
    'auth           ended (exit 78)',
  ]);
});

it('ends with the address, the login and how to stop', () => {
  const lines: string[] = [];
  textScreen((line) => lines.push(line), false).ready(summary);
  expect(lines.join('\n')).toBe(`
Skein is ready after 1.4 s:  http://127.0.0.1:8002
  sign in    demo@skein.localhost  secret
  database   embedded PostgreSQL
  stop       Ctrl-C
`);
});

it('tells programs the same, one JSON object a line, but for the password', () => {
  const lines: string[] = [];
  const screen = jsonScreen((line) => lines.push(line));
  screen.say('Starting');
  screen.event('auth', { kind: 'started', pid: 7 });
  screen.event('auth', { kind: 'line', line: '{"level":"info","msg":"hello"}' });
  screen.event('auth', { kind: 'line', line: '{ broken' });
  screen.ready(summary);
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { service: 'launcher', msg: 'Starting' },
    { service: 'auth', kind: 'started', pid: 7, msg: 'starting (process 7)' },
    { level: 'info', msg: 'hello' },
    { service: 'auth', msg: '{ broken' },
    {
      service: 'launcher',
      ready: true,
      ...summary,
      login: { email: 'demo@skein.localhost', passwordIn: '/data/secrets.json' },
    },
  ]);
  expect(lines.join('')).not.toContain('"secret"');
});
