import { createHash } from 'node:crypto';
import { must } from '@skein/service-kit';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { type Device, openDevice } from './support/device.ts';
import { everything, found, mark, words } from './support/marks.ts';
import { newPerson, type Person, type TestMesh, testMesh } from './support/mesh.ts';

const giveUpMs = 90_000;
const operatorEmail = 'operator@example.test';

let on: TestMesh;
let bob: Person;
let operator: string;
let desk: Device;

const call = async <T = Record<string, unknown>>(
  token: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: T }> => {
  const response = await fetch(`${on.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as T };
};

/** The call, which has to succeed. */
const done = async <T = Record<string, unknown>>(...request: Parameters<typeof call>): Promise<T> => {
  const { status, body } = await call<T>(...request);
  if (status >= 300) throw new Error(`${request[1]} ${request[2]}: ${status} ${JSON.stringify(body)}`);
  return body;
};

const register = (email: string, more: object = {}) =>
  done<{ user: { id: string }; accessToken: string; refreshToken: string }>('', 'POST', '/v1/auth/register', {
    ...{ email, password: crypto.randomUUID() },
    ...more,
  });

beforeAll(async () => {
  on = await testMesh({
    mesh: true,
    env: {
      ...{ SKEIN_OPERATOR_EMAIL: operatorEmail, AGENT_OFFLINE_PACE_MS: '1', AUTH_ARGON2_MEMORY_KIB: '1024' },
      // One test does what a person does in a month.
      ...{ MESSAGES_BURST: '1000', REQUESTS_PER_SECOND: '1000', ANONYMOUS_PER_SECOND: '1000' },
    },
  });
  bob = await newPerson(on.url);
  operator = (await register(operatorEmail)).accessToken;
  desk = await openDevice(on.url, 'desk', () => bob.accessToken);
}, 240_000);
afterAll(async () => {
  desk?.close();
  await on?.[Symbol.asyncDispose]();
}, 90_000);

const sql = async <T extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<T[]> => {
  const client = new pg.Client({ connectionString: must(on.mesh.postgres, 'an embedded database').url });
  await client.connect();
  try {
    return (await client.query<T>(text, values)).rows;
  } finally {
    await client.end();
  }
};

let counter = 0;
const mutation = (collection: string, id: string, value: unknown, more: object = {}) => {
  counter += 1;
  return {
    ...{ collection, id, baseVersion: 0, ops: [{ op: 'set', path: [], value }] },
    hlc: `${(Date.now() + counter).toString(16).padStart(12, '0')}-0000-d`,
    ...more,
  };
};
const write = (token: string, device: string, space: string, mutations: readonly object[], from = 1) =>
  done<{ results: { outcome: string; conflictId?: string }[] }>(
    token,
    'POST',
    `/v1/spaces/${space}/mutations`,
    { device, mutations: mutations.map((one, at) => ({ seq: from + at, ...one })) },
  );

const answered = (token: string, turn: string) =>
  expect
    .poll(async () => (await call<{ state: string }>(token, 'GET', `/v1/turns/${turn}`)).body.state, {
      timeout: giveUpMs,
    })
    .toBe('done');

const sagaEnds = (id: string, state: string) =>
  expect
    .poll(
      async () => {
        const { body } = await call<{ saga: { state: string } }>(operator, 'GET', `/v1/admin/sagas/${id}`);
        return body.saga?.state;
      },
      { timeout: giveUpMs },
    )
    .toBe(state);

describe('a person who is erased', () => {
  it('leaves nothing anywhere, and a team whose history goes on', async () => {
    // Somebody who fills in every field there is.
    const email = `${mark('email')}@example.test`;
    const phone = mark('device');
    const ann = await register(email, {
      displayName: words('name').slice(0, 60),
      device: { id: phone, platform: mark('platform'), name: mark('device-name') },
    });
    const token = ann.accessToken;
    const say = (space: string, text: string, more: object = {}) =>
      done<{ turnId?: string; conversationId: string; messageId: string }>(
        token,
        'POST',
        `/v1/spaces/${space}/messages`,
        { clientMessageId: mark(`message-${crypto.randomUUID().slice(0, 8)}`), text, reply: false, ...more },
      );
    await done(token, 'PATCH', '/v1/me', { displayName: mark('new-name') });
    await done(token, 'PUT', '/v1/me/preferences', { theme: words('preference') });
    await done(token, 'POST', '/v1/auth/tokens', { name: mark('token'), scopes: ['session'] });
    await done(token, 'PUT', '/v1/me/persona', { persona: mark('persona') });

    const bot = await done<{ token: string }>(operator, 'POST', '/v1/auth/tokens', {
      ...{ name: 'bot', scopes: ['channel'] },
    });
    const { code } = await done<{ code: string }>(token, 'POST', '/v1/me/identities/link-code');
    const account = { platform: 'telegram', account: mark('account'), name: words('account-name') };
    const linked = await done(bot.token, 'POST', '/v1/channels/identities', { code, ...account });
    expect(linked).toMatchObject({ linked: true });
    expect(await done(token, 'GET', '/v1/me/identities')).toMatchObject({ items: [account] });

    // Alone.
    const own = await say('personal', words('diary'), {
      reply: true,
      attachments: [{ name: words('attachment') }],
    });
    await answered(token, must(own.turnId, 'a turn'));
    await done(token, 'POST', '/v1/spaces/personal/conversations', { title: words('title') });
    await write(token, phone, 'personal', [
      mutation('task', mark('task-id'), { [mark('field')]: words('task') }),
    ]);
    await done(token, 'POST', '/sync/event', {
      ...{ user_id: ann.user.id, platform: mark('classic-platform'), event_type: 'data_update' },
      data: {
        id: mark('classic-id'),
        type: 'task',
        data: { text: words('classic') },
        timestamp: 1,
        version: 1,
      },
    });
    const value = { note: words('health') };
    const record = await done<{ sagaId: string }>(token, 'POST', '/v1/spaces/personal/health-records', {
      ...{ value, question: words('question'), device: phone },
    });
    await sagaEnds(record.sagaId, 'done');
    await done(token, 'POST', '/v1/spaces', { title: words('own-team') });

    // With somebody.
    const { id: team } = await done<{ id: string }>(bob.accessToken, 'POST', '/v1/spaces', { title: 'Team' });
    const invited = await done<{ code: string }>(bob.accessToken, 'POST', `/v1/spaces/${team}/invitations`, {
      role: 'editor',
      email,
    });
    await done(token, 'POST', '/v1/invitations/accept', { code: invited.code });
    await done(bob.accessToken, 'POST', `/v1/spaces/${team}/invitations`, { role: 'viewer', email });
    await done(bob.accessToken, 'PUT', `/v1/spaces/${team}/members/${ann.user.id}`, { role: 'owner' });
    const other = await done<{ id: string }>(bob.accessToken, 'POST', '/v1/spaces', { title: 'Not joined' });
    await done(bob.accessToken, 'PUT', `/v1/spaces/${other.id}/members/${ann.user.id}`, { role: 'viewer' });
    await done(token, 'POST', `/v1/spaces/${team}/invitations`, {
      ...{ role: 'viewer', email: `${mark('friend')}@example.test` },
    });
    const talk = await done<{ id: string }>(token, 'POST', `/v1/spaces/${team}/conversations`, {
      title: words('team-title'),
    });
    const said = await say(team, `The picnic basket: ${words('picnic')}`, { conversationId: talk.id });
    const theirs = await say(team, words('asked'), { conversationId: talk.id, reply: true });
    await answered(token, must(theirs.turnId, 'a turn'));
    const bobs = (text: string, reply: boolean) =>
      done<{ turnId?: string }>(bob.accessToken, 'POST', `/v1/spaces/${team}/messages`, {
        ...{ clientMessageId: crypto.randomUUID(), text, conversationId: talk.id, reply },
      });
    await bobs('Bob was here', false);
    // The answer quotes what ann wrote.
    await answered(bob.accessToken, must((await bobs('Where is the picnic basket?', true)).turnId, 'a turn'));
    await done(bob.accessToken, 'POST', `/v1/spaces/${team}/conversations/${talk.id}/fork`, {
      messageId: said.messageId,
    });
    await write(token, phone, team, [
      mutation('task', mark('team-task'), { text: words('team-task-text') }),
      mutation('note', mark('note-id'), { title: mark('note-title'), text: words('note') }),
    ]);
    await write(bob.accessToken, 'desk', team, [mutation('task', 'shared', { title: 'Bob’s', plan: 'p' })]);
    const field = (path: string[], text: string, base: number) =>
      mutation('task', 'shared', null, { baseVersion: base, ops: [{ op: 'set', path, value: text }] });
    await write(token, phone, team, [field([mark('path')], words('shared'), 1)], 3);
    await write(token, phone, team, [field(['title'], words('shared-title'), 2)], 4);
    // Neither saw what the other wrote.
    await write(bob.accessToken, 'desk', team, [field(['title'], 'Bob’s again', 1)], 2);
    await write(bob.accessToken, 'desk', team, [mutation('diagnosis_result', 'd', { verdict: 'v' })], 3);
    await write(
      token,
      phone,
      team,
      [
        mutation('diagnosis_result', 'd', null, {
          ops: [{ op: 'set', path: ['verdict'], value: words('conflict') }],
        }),
      ],
      5,
    );
    const shared = await done<{ sagaId: string }>(token, 'POST', `/v1/spaces/${team}/health-records`, {
      value: { note: words('team-health') },
    });
    await sagaEnds(shared.sagaId, 'done');
    const healthy = await done<{ recordId: string; sagaId: string }>(
      bob.accessToken,
      'POST',
      `/v1/spaces/${team}/health-records`,
      { value: { pulse: 60 } },
    );
    await sagaEnds(healthy.sagaId, 'done');
    await sql(
      `insert into "user".dead_letter (consumer, event_id, event, error, attempts)
       select 'user-accounts', 'dead', event, $1, 5 from auth.outbox
       where event::json ->> 'type' = 'user.login' and event::json ->> 'subject' = $2 limit 1`,
      [words('dead-letter'), ann.user.id],
    );
    const socket = new WebSocket(`${on.url.replace('http', 'ws')}/v1/connect`);
    const closed = new Promise<number>((resolve) => socket.on('close', resolve));
    await new Promise((resolve) => socket.on('open', resolve));
    socket.send(
      JSON.stringify({
        ...{ type: 'hello', v: 1, token },
        device: { id: mark('laptop'), platform: mark('laptop-platform'), name: mark('laptop-name') },
      }),
    );
    await new Promise((resolve) => socket.once('message', resolve));

    const before = await done<{ events: { offset: number; id: string; type: string }[] }>(
      bob.accessToken,
      'GET',
      `/v1/spaces/${team}/events?limit=500`,
    );
    expect(found(await everything(on.mesh)).length).toBeGreaterThan(50);
    // What there is about them they can take along.
    const taken: { kind: string }[] = [];
    for (let next: string | undefined = ''; next !== undefined; ) {
      const page: { items: { kind: string }[]; next?: string } = await done(
        token,
        'GET',
        `/v1/me/export?limit=2&cursor=${next}`,
      );
      taken.push(...page.items);
      next = page.next;
    }
    const text = JSON.stringify(taken);
    for (const about of [
      'new-name',
      'laptop-name',
      'token',
      'preference',
      'diary',
      'task',
      'health',
      'own-team',
    ])
      expect(text).toContain(`zwoelfton7-${about}`);
    expect(text).toContain('The picnic basket');
    expect(text).not.toContain('Bob was here');
    expect([...new Set(taken.map(({ kind }) => kind))]).toEqual([
      ...['profile', 'identity', 'notice', 'device', 'token', 'space', 'document', 'conversation', 'message'],
    ]);

    // Too late to have second thoughts.
    const erased = await call<{ sagaId: string }>(token, 'DELETE', '/v1/me');
    expect(erased.status).toBe(202);
    expect(await closed).toBe(4001);
    await expect
      .poll(async () => (await call(token, 'GET', '/v1/me')).status, { timeout: giveUpMs })
      .toBe(401);
    const { status } = await call('', 'POST', '/v1/auth/refresh', { refreshToken: ann.refreshToken });
    expect(status).toBe(401);
    await sagaEnds(erased.body.sagaId, 'done');

    expect(found(await everything(on.mesh))).toEqual([]);

    // The team goes on where it was.
    const after = await done<{ epoch: string; events: typeof before.events }>(
      bob.accessToken,
      'GET',
      `/v1/spaces/${team}/events?limit=500`,
    );
    expect(after.events.slice(0, before.events.length).map(({ offset, id }) => [offset, id])).toEqual(
      before.events.map(({ offset, id }) => [offset, id]),
    );
    const texts = JSON.stringify(after);
    for (const kept of ['Bob was here', 'Bob’s again', '"pulse":60']) expect(texts).toContain(kept);
    await desk.until(
      'the team anew',
      (frame) => frame.type === 'snapshot' && frame['space'] === team && frame['epoch'] === after.epoch,
    );
    interface State {
      readonly documents: { readonly id: string; readonly value: unknown }[];
      readonly stateHash: string;
    }
    const head = after.events.at(-1)?.offset;
    const replayed = await done<State>(bob.accessToken, 'GET', `/v1/spaces/${team}/state?at=${head}`);
    const { items } = await done<{ items: State['documents'] }>(
      bob.accessToken,
      'GET',
      `/v1/spaces/${team}/documents`,
    );
    const valuesOf = (list: State['documents']) =>
      Object.fromEntries(list.map(({ id, value: is }) => [id, is]));
    expect(valuesOf(replayed.documents)).toEqual(valuesOf(items));
    expect(valuesOf(items)).toMatchObject({ shared: { plan: 'p' }, [healthy.recordId]: { pulse: 60 } });
    const ledger = `/v1/spaces/${team}/health-records/ledger`;
    expect(await done(bob.accessToken, 'GET', ledger)).toMatchObject({ intact: true, entries: 2, erased: 1 });
    // Of their own ledger the chain is left, and it holds.
    const chain = await sql<{ space: string; hash: string; commitment: string; salt: string | null }>(
      'select space, hash, commitment, salt from session_sync.ledger_entry where space <> $1 order by position',
      [team],
    );
    const sha = (text: string) => createHash('sha256').update(text).digest('hex');
    let link = sha(chain[0]?.space ?? '');
    for (const { hash, commitment, salt } of chain) {
      link = sha(`${link}${commitment}`);
      expect([hash, salt]).toEqual([link, null]);
    }
    expect(chain.length).toBeGreaterThan(0);
    // The address is free for somebody new.
    expect((await register(email)).user.id).not.toBe(ann.user.id);
  }, 300_000);

  it('may be erased by an operator, who says why', async () => {
    const somebody = await newPerson(on.url);
    const path = `/v1/admin/users/${somebody.id}`;
    expect((await call(bob.accessToken, 'DELETE', path, { reason: 'no' })).status).toBe(403);
    expect((await call(operator, 'DELETE', path, {})).status).toBe(400);
    const nobody = `/v1/admin/users/${crypto.randomUUID()}`;
    expect((await call(operator, 'DELETE', nobody, { reason: 'nobody' })).status).toBe(404);
    const begun = await done<{ sagaId: string }>(operator, 'DELETE', path, { reason: 'asked by letter' });
    expect(await done(operator, 'DELETE', path, { reason: 'asked by letter' })).toEqual(begun);
    await sagaEnds(begun.sagaId, 'done');
    const again = { email: somebody.email, password: somebody.password };
    expect((await call('', 'POST', '/v1/auth/login', again)).status).toBe(401);
  }, 120_000);
});
