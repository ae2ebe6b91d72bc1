import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { newPerson, type Person, type TestMesh, testMesh } from './support/mesh.ts';

const operatorEmail = 'operator@example.test';

let on: TestMesh;
let person: Person;
let operator: string;
beforeAll(async () => {
  on = await testMesh({ env: { SKEIN_OPERATOR_EMAIL: operatorEmail } });
  person = await newPerson(on.url);
  const registered = await fetch(`${on.url}/v1/auth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: operatorEmail, password: crypto.randomUUID(), displayName: 'Op' }),
  });
  operator = ((await registered.json()) as { accessToken: string }).accessToken;
}, 120_000);
afterAll(async () => {
  await on?.[Symbol.asyncDispose]();
}, 60_000);

interface Answer<T> {
  readonly status: number;
  readonly body: T;
}

const ask = async <T = Record<string, unknown>>(
  token: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer<T>> => {
  const response = await fetch(`${on.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as T };
};

interface Saga {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly steps: readonly { readonly step: string; readonly kind: string }[];
}

/** The saga once it has ended. */
const ended = (token: string, id: string): Promise<Saga> =>
  vi.waitFor(
    async () => {
      const { body } = await ask<Saga>(token, 'GET', `/v1/sagas/${id}`);
      expect(['done', 'compensated', 'killed']).toContain(body.state);
      return body;
    },
    { timeout: 60_000, interval: 100 },
  );

interface Document {
  readonly id: string;
  readonly value: Readonly<Record<string, unknown>>;
}

const documents = async (token: string, collection: string): Promise<readonly Document[]> =>
  (await ask<{ items: Document[] }>(token, 'GET', `/v1/spaces/personal/documents/${collection}`)).body.items;

/** Kills a process the hard way, and waits for its successor. */
const kill = async (name: string): Promise<void> => {
  expect(on.mesh.processes.get(name)?.kill('SIGKILL')).toBe(true);
  await on.mesh.processes.get(name)?.ready();
};

const records = '/v1/spaces/personal/health-records';
const ledger = `${records}/ledger`;

describe('a health record', () => {
  it('is kept, enters the space and its ledger, and is asked about; the same key is the same record', async () => {
    const { accessToken: token } = person;
    const value = { pulse: 72, note: 'after running' };
    const key = { 'idempotency-key': 'record-1' };
    const begun = await ask<{ recordId: string; sagaId: string }>(token, 'POST', records, { value }, key);
    expect(begun.status).toBe(202);
    expect((await ask(token, 'POST', records, { value }, key)).body).toEqual(begun.body);
    expect((await ask(token, 'POST', records, { value: 1 }, key)).status).toBe(422);
    const { recordId, sagaId } = begun.body;
    const saga = await ended(token, sagaId);
    expect(saga).toMatchObject({ id: sagaId, name: 'record-health-data', state: 'done' });
    expect(saga.steps.map(({ step, kind }) => `${step} ${kind}`)).toEqual([
      'validateUser done',
      'save done',
      'append done',
      'analyse done',
    ]);
    const document = await ask(token, 'GET', `/v1/spaces/personal/documents/health_data/${recordId}`);
    expect(document.body).toMatchObject({ value, version: 1 });
    expect((await ask(token, 'GET', ledger)).body).toMatchObject({ intact: true, entries: 1, faults: [] });
    const { body } = await ask<{ items: { id: string }[] }>(
      token,
      'GET',
      '/v1/spaces/personal/conversations',
    );
    expect(body.items).toHaveLength(1);
  });

  it('tells each change of its saga to whoever watches', async () => {
    const { accessToken: token } = person;
    const { body } = await ask<{ sagaId: string }>(token, 'POST', records, { value: 'watched' });
    const response = await fetch(`${on.url}/v1/sagas/${body.sagaId}`, {
      headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
    });
    const text = await response.text();
    expect(text).toContain('event: saga');
    expect(text).toContain('"state":"done"');
  });

  it('is nobody else’s, and an operator sees of it what it does and not what it says', async () => {
    const { body } = await ask<{ sagaId: string }>(person.accessToken, 'POST', records, {
      value: 'my secret',
    });
    const other = await newPerson(on.url);
    expect((await ask(other.accessToken, 'GET', `/v1/sagas/${body.sagaId}`)).status).toBe(404);
    expect((await ask(person.accessToken, 'GET', `/v1/admin/sagas/${body.sagaId}`)).status).toBe(403);
    await ended(person.accessToken, body.sagaId);
    const list = await ask<{ items: Saga[] }>(
      operator,
      'GET',
      `/v1/admin/sagas?subject=${person.id}&state=done`,
    );
    expect(list.body.items.map(({ id }) => id)).toContain(body.sagaId);
    const journal = await ask(operator, 'GET', `/v1/admin/sagas/${body.sagaId}`);
    expect(journal.body).toMatchObject({ saga: { state: 'done', subject: person.id } });
    expect(JSON.stringify([list, journal])).not.toContain('my secret');
    const late = await ask(operator, 'POST', `/v1/admin/sagas/${body.sagaId}/cancel`, { reason: 'a test' });
    expect(late).toMatchObject({ status: 409, body: { code: 'saga_state' } });
  });
});

const projects = '/v1/spaces/personal/projects';

describe('a project', () => {
  it('goes on where it was when the agent, and then session-sync, is killed in the middle', async () => {
    const { accessToken: token } = await newPerson(on.url);
    const tasks = ['Find a train to the sea', 'Pack the blue bowl', 'Tell the neighbours'];
    const body = { title: 'A trip', tasks: tasks.map((text) => ({ text, persona: 'coordinator' })) };
    const begun = await ask<{ projectId: string; sagaId: string }>(token, 'POST', projects, body);
    expect(begun.status).toBe(202);
    const { projectId, sagaId } = begun.body;
    const doing = (at: number) =>
      expect
        .poll(async () => (await documents(token, 'task')).filter(({ value }) => value['state'] === 'done'), {
          timeout: 60_000,
        })
        .toHaveLength(at);
    await doing(1);
    await kill('agent');
    await doing(2);
    await kill('session-sync');
    const saga = await ended(token, sagaId);
    expect(saga).toMatchObject({ name: 'run-project', state: 'done' });
    expect(saga.steps.map(({ step }) => step)).toEqual(['assign', 'task1', 'task2', 'task3', 'collect']);
    const [project] = await documents(token, 'project');
    expect(project).toMatchObject({
      ...{ id: projectId },
      value: { title: 'A trip', state: 'done', counts: { done: 3, failed: 0, cancelled: 0 } },
    });
    const { body: said } = await ask<{ items: { role: string; text: string }[] }>(
      token,
      'GET',
      `/v1/spaces/personal/conversations/${String(project?.value['conversation'])}/messages`,
    );
    // Each task was asked for once and answered once.
    expect(said.items.map(({ role, text }) => (role === 'user' ? text : role))).toEqual(
      tasks.flatMap((text) => [text, 'assistant']),
    );
  }, 120_000);

  it('is cancelled by its person: what is not done is returned', async () => {
    const { accessToken: token } = person;
    const body = {
      title: 'Never mind',
      tasks: Array.from({ length: 12 }, (_, at) => ({ text: `Task ${at}` })),
    };
    const { projectId, sagaId } = (
      await ask<{ projectId: string; sagaId: string }>(token, 'POST', projects, body)
    ).body;
    await expect.poll(() => documents(token, 'task'), { timeout: 30_000 }).toHaveLength(12);
    const cancelled = await ask(token, 'POST', `${projects}/${projectId}/cancel`);
    expect(cancelled).toMatchObject({ status: 202, body: { state: 'compensating' } });
    expect((await ended(token, sagaId)).state).toBe('compensated');
    const states = (await documents(token, 'task')).map(({ value }) => value['state']);
    expect(states.filter((state) => state === 'returned').length).toBeGreaterThan(0);
    expect(states).not.toContain('assigned');
    const [project] = await documents(token, 'project');
    expect(project?.value).toMatchObject({ state: 'cancelled' });
    expect(await ask(token, 'POST', `${projects}/${projectId}/cancel`)).toMatchObject({
      ...{ status: 409, body: { code: 'saga_state' } },
    });
  }, 60_000);
});

describe('a registration', () => {
  it('goes on when auth is killed right after its answer: profile, space, and one welcome', async () => {
    const { id, accessToken: token } = await newPerson(on.url);
    await kill('auth');
    // The first touch does not wait for the saga.
    const me = await ask(token, 'GET', '/v1/me');
    expect(me).toMatchObject({ status: 200, body: { id } });
    expect(await ask(token, 'GET', '/v1/spaces/personal')).toMatchObject({ status: 200 });
    const sagas = async () =>
      (await ask<{ items: Saga[] }>(operator, 'GET', `/v1/admin/sagas?subject=${id}&name=register-user`)).body
        .items;
    await expect
      .poll(async () => (await sagas()).map(({ state }) => state), { timeout: 60_000 })
      .toEqual(['done']);
    const welcomes = async () =>
      (await ask<{ items: { kind: string }[] }>(token, 'GET', '/v1/me/notices')).body.items.filter(
        ({ kind }) => kind === 'welcome',
      );
    await expect.poll(welcomes, { timeout: 30_000 }).toHaveLength(1);
    expect(await sagas()).toMatchObject([{ service: 'auth' }]);
  }, 120_000);
});
