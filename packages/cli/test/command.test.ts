import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { runCommand } from '../src/command.ts';
import { UsageError } from '../src/usage.ts';

interface Asked {
  readonly line: string;
  readonly token: string | undefined;
  readonly body: unknown;
}

/** A gateway that says what the test wrote, by method and path. */
const gateway = async (answers: Readonly<Record<string, { status: number; body?: unknown }>>) => {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const line = `${request.method} ${request.url}`;
    asked.push({
      line,
      token: request.headers.authorization,
      body: text === '' ? undefined : JSON.parse(text),
    });
    const answer = answers[line] ?? { status: 418 };
    response.statusCode = answer.status;
    response.end(answer.body === undefined ? '' : JSON.stringify(answer.body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const lines: string[] = [];
  const env = {
    SKEIN_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    SKEIN_TOKEN: 'a-token',
  };
  const run = (...args: string[]) => runCommand(args, { env, write: (line) => lines.push(line) });
  return { asked, lines, run };
};

const letter = (id: string) => ({
  ...{ id, service: 'user', consumer: 'user-accounts', eventId: `event-${id}`, type: 'user.registered' },
  ...{ subject: 'u1', error: 'Error: poison', attempts: 5, diedAt: '2026-01-31T12:00:00.000Z' },
});

describe('skein dead-letters', () => {
  it('lists all pages', async () => {
    const { run, lines, asked } = await gateway({
      'GET /v1/admin/dead-letters?service=user': {
        status: 200,
        body: { items: [letter('one')], next: 'more' },
      },
      'GET /v1/admin/dead-letters?service=user&cursor=more': {
        status: 200,
        body: { items: [letter('two')] },
      },
    });
    expect(await run('dead-letters', 'list', '--service', 'user', '--json')).toBe(true);
    expect(lines.map((line) => JSON.parse(line))).toEqual([letter('one'), letter('two')]);
    expect(asked[0]?.token).toBe('Bearer a-token');
    lines.length = 0;
    await run('dead-letters', 'list', '--service', 'user');
    expect(lines.join('\n')).toContain('Error: poison');
    expect(lines.at(-1)).toBe('2 dead letter(s).');
  });

  it('retries each with the reason, and says when one failed', async () => {
    const { run, lines, asked } = await gateway({
      'POST /v1/admin/dead-letters/one/retry': { status: 200, body: { outcome: 'done' } },
      'POST /v1/admin/dead-letters/two/retry': {
        status: 200,
        body: { outcome: 'failed', error: 'Error: poison' },
      },
    });
    expect(await run('dead-letters', 'retry', 'one', '--reason', 'mended')).toBe(true);
    expect(await run('dead-letters', 'retry', 'one', 'two', '--reason', 'mended')).toBe(false);
    expect(asked.map(({ body }) => body)).toEqual(Array(3).fill({ reason: 'mended' }));
    expect(lines).toEqual(['one  done', 'one  done', 'two  failed: Error: poison']);
  });

  it('drops each with the reason', async () => {
    const { run, lines } = await gateway({ 'POST /v1/admin/dead-letters/one/drop': { status: 204 } });
    expect(await run('dead-letters', 'drop', 'one', '--reason', 'a test person')).toBe(true);
    expect(lines).toEqual(['one  dropped']);
  });

  it('tells the sentence of a problem, and of an answer that is none', async () => {
    const { run } = await gateway({
      'POST /v1/admin/dead-letters/one/drop': {
        status: 403,
        body: { code: 'forbidden', detail: 'The token lacks the scope operator' },
      },
    });
    await expect(run('dead-letters', 'drop', 'one', '--reason', 'x')).rejects.toThrow(
      'The token lacks the scope operator (forbidden)',
    );
    await expect(run('dead-letters', 'list')).rejects.toThrow(/answered 418 without saying why/);
  });
});

describe('skein events replay', () => {
  it('says from when, in one spelling', async () => {
    const { run, asked } = await gateway({ 'POST /v1/admin/replays': { status: 204 } });
    const args = ['events', 'replay', '--service', 'auth', '--reason', 'lost'];
    expect(await run(...args, '--from', '2026-01-31T14:00+02:00')).toBe(true);
    expect(asked[0]?.body).toEqual({ service: 'auth', from: '2026-01-31T12:00:00.000Z', reason: 'lost' });
    await expect(run(...args, '--from', 'yesterday')).rejects.toThrow(/with its zone/);
  });
});

describe('a command line that cannot be used', () => {
  const run = (env: Record<string, string>, ...args: string[]) => runCommand(args, { env, write: () => {} });
  const token = { SKEIN_TOKEN: 't' };
  it.each([
    ['nothing', {}, [], /Say what to do/],
    ['an unknown command', {}, ['dead-letters', 'bury'], /no command "dead-letters bury"/],
    ['an unknown option', {}, ['db', 'reanchor', '--force'], /--force/],
    ['no token', {}, ['dead-letters', 'list'], /SKEIN_TOKEN/],
    ['no address', { ...token, SKEIN_URL: 'skein' }, ['dead-letters', 'list'], /SKEIN_URL must be/],
    ['no ids', token, ['dead-letters', 'retry', '--reason', 'x'], /Name one or more ids/],
    ['no reason', token, ['dead-letters', 'drop', 'one'], /--reason/],
    ['no time', token, ['events', 'replay', '--service', 'auth', '--reason', 'x'], /--from is needed/],
    ['no database', {}, ['db', 'reanchor', '--reason', 'x'], /DATABASE_URL is needed/],
    ['no database to rebuild in', {}, ['db', 'rebuild', '--reason', 'x'], /DATABASE_URL is needed/],
  ])('has %s', async (_, env, args, sentence) => {
    const refused = run(env, ...args);
    await expect(refused).rejects.toBeInstanceOf(UsageError);
    await expect(refused).rejects.toThrow(sentence);
  });

  it('says that nothing answers', async () => {
    const env = { ...token, SKEIN_URL: 'http://127.0.0.1:1' };
    await expect(run(env, 'dead-letters', 'list')).rejects.toThrow(/Nothing answers at http:\/\/127.0.0.1:1/);
  });
});

describe('skein sagas', () => {
  const parked = {
    ...{ id: 'one', service: 'session-sync', name: 'record-health-data', state: 'parked', attempts: 8 },
    ...{
      createdAt: '2026-01-31T12:00:00.000Z',
      subject: 'u1',
      failure: { code: 'unavailable', detail: 'away' },
    },
  };

  it('lists those that wait for an operator unless another state is asked for', async () => {
    const { run, lines } = await gateway({
      'GET /v1/admin/sagas?state=parked': { status: 200, body: { items: [parked], next: 'more' } },
      'GET /v1/admin/sagas?state=parked&cursor=more': { status: 200, body: { items: [] } },
      'GET /v1/admin/sagas?state=done&service=auth': { status: 200, body: { items: [] } },
    });
    await run('sagas', 'list');
    expect(lines).toEqual([
      'one\n  2026-01-31T12:00:00.000Z  session-sync/record-health-data about u1, parked, 8 attempts\n  unavailable: away',
      '1 parked saga(s).',
    ]);
    lines.length = 0;
    await run('sagas', 'list', '--state', 'done', '--service', 'auth');
    expect(lines).toEqual(['There are no done sagas.']);
  });

  it('carries out a verb with its reason, and none without', async () => {
    const { run, lines, asked } = await gateway({
      'POST /v1/admin/sagas/one/force-complete': { status: 200, body: { state: 'done' } },
    });
    expect(await run('sagas', 'force-complete', 'one', '--reason', 'seen by hand')).toBe(true);
    expect(asked[0]?.body).toEqual({ reason: 'seen by hand' });
    expect(lines).toEqual(['one  done']);
    await expect(run('sagas', 'kill', 'one')).rejects.toThrow(UsageError);
    await expect(run('sagas', 'kill', '--reason', 'x')).rejects.toThrow('"skein sagas list"');
    await expect(run('sagas', 'explode', 'one', '--reason', 'x')).rejects.toThrow(UsageError);
  });

  it('skips with the value a step would have given', async () => {
    const { run, asked } = await gateway({
      'POST /v1/admin/sagas/one/skip': { status: 200, body: { state: 'running' } },
    });
    const skip = (...args: string[]) => run('sagas', 'skip', 'one', '--reason', 'seen by hand', ...args);
    await skip('--value', '{"id":1}');
    await skip();
    expect(asked.map(({ body }) => body)).toEqual([
      { reason: 'seen by hand', value: { id: 1 } },
      { reason: 'seen by hand' },
    ]);
    await expect(skip('--value', '{id')).rejects.toThrow('--value must be JSON');
    await expect(run('sagas', 'kill', 'one', '--reason', 'x', '--value', '1')).rejects.toThrow('for skip');
  });
});

describe('skein ledger verify', () => {
  const head = { position: 2, hash: 'abc' };

  it('is fine with an intact ledger, and tells its head', async () => {
    const body = { intact: true, entries: 2, erased: 1, head, faults: [] };
    const { run, lines } = await gateway({
      'GET /v1/spaces/personal/health-records/ledger': { status: 200, body },
    });
    expect(await run('ledger', 'verify')).toBe(true);
    expect(lines.join('\n')).toContain('2 entries, 1 of them erased: intact');
    expect(lines.join('\n')).toContain('abc');
  });

  it('fails with one that was changed, and says where', async () => {
    const faults = [
      { position: 2, fault: 'chain' },
      { position: 0, fault: 'document' },
    ];
    const { run, lines } = await gateway({
      'GET /v1/spaces/s1/health-records/ledger': {
        status: 200,
        body: { intact: false, entries: 2, erased: 0, head, faults },
      },
    });
    expect(await run('ledger', 'verify', 's1')).toBe(false);
    expect(lines.join('\n')).toContain('NOT INTACT');
    expect(lines.join('\n')).toContain('Entry 2 does not follow from the entry before it.');
    expect(lines.join('\n')).toContain('A record has no entry.');
  });
});

describe('skein config summary', () => {
  const items = [
    {
      service: 'gateway',
      instance: 'gateway-1',
      settings: [
        { name: 'PORT', value: '8002', source: 'default', live: false },
        { name: 'LOG_LEVEL', value: 'warn', source: 'environment', overridden: 'all', live: true },
      ],
      refused: [],
    },
    { service: 'user', settings: [], refused: ['user: MAIL_LANGUAGE must be one of en, zh'] },
  ];

  it('says what holds and where it came from', async () => {
    const { run, lines } = await gateway({ 'GET /v1/admin/config': { status: 200, body: { items } } });
    expect(await run('config', 'summary', 'gateway')).toBe(true);
    expect(lines).toEqual([
      'gateway (gateway-1)',
      '  PORT 8002  [default]',
      '  LOG_LEVEL warn  [environment, wins over all, live]',
    ]);
  });

  it('does not end well when something is refused', async () => {
    const { run, lines } = await gateway({ 'GET /v1/admin/config': { status: 200, body: { items } } });
    expect(await run('config', 'summary', '--json')).toBe(false);
    expect(lines.map((line) => JSON.parse(line))).toContainEqual({
      service: 'user',
      refused: 'user: MAIL_LANGUAGE must be one of en, zh',
    });
    await expect(run('config', 'summary', 'nobody')).rejects.toThrow('There is no service nobody.');
  });
});
