import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClassicClient, openClassic } from './support/classic.ts';
import { type Device, openDevice } from './support/device.ts';
import { newPerson, type Person, type TestMesh, testMesh } from './support/mesh.ts';

let on: TestMesh;
let person: Person;
/** Connected all the time, and sees what everybody sees. */
let watcher: Device;
let classic: ClassicClient;

beforeAll(async () => {
  on = await testMesh({ env: { MESSAGES_PER_SECOND: '1000', MESSAGES_BURST: '1000' } });
  person = await newPerson(on.url);
  watcher = await openDevice(on.url, 'watcher', () => person.accessToken);
  classic = await openClassic(on.url, person.id, person.accessToken, 'classic');
}, 120_000);

afterAll(async () => {
  watcher?.close();
  classic?.close();
  await on?.[Symbol.asyncDispose]();
}, 60_000);

interface Conflict {
  readonly id: string;
  readonly state: string;
  readonly documentId: string;
  readonly winner: 'server' | 'client';
  readonly server: { readonly value?: unknown };
  readonly client: { readonly device: string; readonly value?: unknown };
}

const call = async <T = unknown>(method: string, path: string, body?: unknown): Promise<T> => {
  const response = await fetch(`${on.url}/v1/spaces/personal${path}`, {
    method,
    headers: { authorization: `Bearer ${person.accessToken}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer = (await response.json()) as T;
  if (!response.ok) throw Object.assign(new Error(JSON.stringify(answer)), answer);
  return answer;
};

const documentOf = async (collection: string, id: string): Promise<{ version: number; value: unknown }> =>
  call('GET', `/documents/${collection}/${id}`);

const conflictOf = async (id: string): Promise<Conflict> => {
  const { items } = await call<{ items: Conflict[] }>('GET', '/conflicts?limit=200');
  const found = items.filter((one) => one.documentId === id);
  expect(found).toHaveLength(1);
  return found[0] as Conflict;
};

/** Comes back online, sends what it has queued, and goes away again. */
const comeBack = async (device: string, mutations: readonly object[]): Promise<void> => {
  const online = await openDevice(on.url, device, () => person.accessToken);
  await online.request({ type: 'mutate', space: 'personal', mutations });
  online.close();
};

const hlc = (ms: number, device: string) => `${ms.toString(16).padStart(12, '0')}-0000-${device}`;

/** What a classic client was sent of a document, in order. */
const heard = (id: string) =>
  classic.frames.flatMap((frame) => {
    const data = frame['data'] as { id?: string; version?: number; data?: unknown } | undefined;
    return frame.type === 'data_update' && data?.id === id ? [data] : [];
  });

const hears = (id: string, version: number) =>
  classic.until(`${id} at version ${version}`, () => heard(id).some((one) => one.version === version));

const resolved = (conflictId: string) => (frame: Record<string, unknown>) => {
  const event = frame['event'] as { type: string; data: Record<string, unknown> } | undefined;
  return event?.type === 'conflict.resolved' && event.data['conflictId'] === conflictId;
};

const orders = [
  ['phone', 'laptop'],
  ['laptop', 'phone'],
] as const;
const strategies = ['health_data', 'user_preferences', 'diagnosis_result', 'task', 'knowledge_base'];
const cases = strategies.flatMap((collection) => orders.map((order) => [collection, ...order] as const));

describe('two devices that were offline', () => {
  it.each(cases)(
    'change one %s: %s comes back first, then %s; nothing is lost, and the loser comes back',
    async (collection, first, second) => {
      const id = `${collection}-${first}`;
      const write = (device: string, baseVersion: number, value: string, ms: number) => ({
        ...{ seq: 1, collection, id, baseVersion, hlc: hlc(ms, device) },
        ops: [{ op: 'set', path: ['text'], value }],
      });
      const names = [first, second].map((name) => `${name} of ${id}`.replaceAll(' ', '-'));
      await comeBack(`maker-of-${id}`, [write('maker', 0, 'base', 1)]);
      const stamps = { phone: 1_000, laptop: 2_000 };
      for (const [at, name] of [first, second].entries())
        await comeBack(names[at] as string, [write(name, 1, name, stamps[name])]);

      const conflict = await conflictOf(id);
      const [stands, lost] =
        conflict.winner === 'server'
          ? [conflict.server.value, conflict.client.value]
          : [conflict.client.value, conflict.server.value];
      expect([stands, lost].sort()).toEqual(['laptop', 'phone']);
      expect(conflict.client.device).toBe(names[1]);
      const before = await documentOf(collection, id);
      expect(before.value).toEqual({ text: stands });
      // The classic client has what everybody has, and has not said a word.
      await hears(id, before.version);
      expect(heard(id).at(-1)?.data).toEqual({ text: stands });

      if (conflict.state === 'open')
        await call('POST', `/conflicts/${conflict.id}/resolve`, {
          choice: conflict.winner === 'server' ? 'client' : 'server',
          version: before.version,
        });
      else await call('POST', `/conflicts/${conflict.id}/undo`);
      await watcher.until('conflict.resolved', resolved(conflict.id));
      const after = await documentOf(collection, id);
      expect(after.value).toEqual({ text: lost });
      await hears(id, after.version);
      expect(heard(id).at(-1)?.data).toEqual({ text: lost });
      expect(new Set(heard(id).map(({ version }) => version)).size).toBe(heard(id).length);
    },
  );
});

describe('a classic client that edits the same document', () => {
  it('is asked to choose where a person has to, and rests once somebody has', async () => {
    const id = 'shared-note';
    const mutation = (seq: number, baseVersion: number, value: string) => ({
      ...{ seq, collection: 'knowledge_base', id, baseVersion, hlc: hlc(seq, 'web') },
      ops: [{ op: 'set', path: ['text'], value }],
    });
    await comeBack('web', [mutation(1, 0, 'base')]);
    await hears(id, 1);
    const offline = await openClassic(on.url, person.id, person.accessToken, 'old-tablet');
    offline.close();
    await offline.closed;
    await comeBack('web', [mutation(2, 1, 'from the web')]);
    await hears(id, 2);
    // It comes back with what it made of version 1, and is sent what changed meanwhile.
    const back = await openClassic(on.url, person.id, person.accessToken, 'old-tablet-again');
    const mine = { id, type: 'knowledge_base', data: { text: 'from the tablet' }, timestamp: 5, version: 2 };
    back.send({ type: 'data_update', data: mine });
    const asked = await back.until('conflict', (frame) => frame.type === 'conflict');
    expect(asked['data']).toMatchObject({
      clientData: mine,
      serverData: { id, version: 2, data: { text: 'from the web' } },
    });
    const { conflictId } = asked['data'] as { conflictId: string };
    expect(await conflictOf(id)).toMatchObject({ id: conflictId, state: 'open' });
    await call('POST', `/conflicts/${conflictId}/resolve`, { choice: 'client', version: 2 });
    const settled = await back.until('the outcome', (frame) => {
      const data = frame['data'] as { id?: string; version?: number } | undefined;
      return frame.type === 'data_update' && data?.id === id && data.version === 3;
    });
    expect((settled['data'] as { data: unknown }).data).toEqual({ text: 'from the tablet' });
    await hears(id, 3);
    // What it echoes changes nothing and is answered by nothing: the pong comes right after it.
    back.send({ type: 'data_update', data: settled['data'] });
    back.send({ type: 'ping' });
    await back.until('pong', (frame) => frame.type === 'pong');
    expect((await documentOf('knowledge_base', id)).version).toBe(3);
    expect(heard(id).at(-1)?.version).toBe(3);
    back.close();
  });
});
