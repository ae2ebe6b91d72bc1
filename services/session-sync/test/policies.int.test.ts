import { openDatabase } from '@skein/postgres';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { collectionPolicies } from '../src/adapters/collection-policies.ts';
import { postgresSweeps } from '../src/adapters/postgres-sweeps.ts';
import { migrations } from '../src/adapters/schema.ts';
import { actingFor, openLive, type Running, startOnNewDatabase } from './harness.ts';
import { hlc, origin, set, writing } from './writing.ts';

const policies = collectionPolicies();
let sync: Running & { readonly databaseUrl: string };
beforeAll(async () => {
  sync = await startOnNewDatabase({}, { policies });
});
afterAll(() => sync.stop());
beforeEach(() => policies.replace({}));

const { mutate, logOf } = writing(() => sync);
const contentOf = async (user: string, collection = 'task') => {
  const { document } = await sync.gateway.getDocument(
    { space: 'personal', collection, id: 'a' },
    actingFor(user),
  );
  return JSON.parse(document?.valueJson ?? 'null') as unknown;
};
const fine = { strategy: 'server_wins', deletes: 'delete_wins' } as const;

describe('rules that change while devices are connected', () => {
  it('settle the next mutation: another strategy, another resolver, another delete rule', async () => {
    const user = 'switcher';
    const live = openLive(sync.gateway);
    const { space } = await sync.gateway.getSpace({ space: 'personal' }, actingFor(user));
    live.follow(space?.id ?? '');
    await mutate(user, 'phone', [set(1, 5), set(2, 7, { baseVersion: 1 })]);
    const late = (device: string, value: unknown, seq = 1) =>
      mutate(user, device, [set(seq, value, { baseVersion: 1, hlc: hlc(1) })]);
    expect((await late('one', 6)).results).toMatchObject([{ outcome: 'conflict', version: 2 }]);
    policies.replace({ task: { ...fine, strategy: 'client_wins' } });
    expect((await late('two', 6)).results).toMatchObject([{ outcome: 'merged', version: 3 }]);
    policies.replace({ task: { ...fine, strategy: 'merge', resolvers: { '/title': 'larger' } } });
    expect((await late('three', 3)).results).toMatchObject([{ outcome: 'conflict', version: 3 }]);
    expect((await late('four', 9)).results).toMatchObject([{ outcome: 'merged', version: 4 }]);
    policies.replace({ task: { ...fine, strategy: 'manual' } });
    expect((await late('five', 1)).results).toMatchObject([{ outcome: 'conflict', version: 4 }]);
    policies.replace({ task: { ...fine, deletes: 'edit_wins' } });
    const remove = { ...set(1, 0), baseVersion: 1, ops: [{ op: 'delete', path: [] }] };
    expect((await mutate(user, 'six', [remove])).results).toMatchObject([{ code: 'edited' }]);
    expect(await contentOf(user)).toEqual({ title: 9 });
    // Each conflict remembers by which rule it was settled.
    const { items } = await sync.gateway.listConflicts(
      { space: 'personal', state: '', limit: 0, cursor: '' },
      actingFor(user),
    );
    expect(items.map(({ strategy, reason, winner }) => [strategy, reason, winner])).toEqual([
      ['manual', 'manual', 'server'],
      ['merge', 'larger', 'client'],
      ['merge', 'larger', 'server'],
      ['client_wins', 'client', 'client'],
      ['newest_wins', 'newest', 'server'],
    ]);
    // Whoever listens saw every version, in order, whatever the rules were.
    await expect
      .poll(() => live.eventsOf(space?.id ?? '').map(({ type }) => type))
      .toEqual([
        'document.changed',
        'document.changed',
        'document.changed',
        'document.changed',
        'conflict.detected',
      ]);
    live.close();
  });

  it('refuse what a new schema forbids as a result, and leave room to mend what was there', async () => {
    const user = 'schemer';
    await mutate(user, 'phone', [set(1, { odd: true }), set(2, 'n', { baseVersion: 1, field: 'note' })]);
    policies.replace({
      task: {
        ...fine,
        schema: {
          type: 'object',
          properties: { title: { type: 'string', maxLength: 20 }, due: { type: 'string' } },
        },
      },
    });
    // What a device queued before it knew: each mutation has a result, none holds up the next.
    const { results, lastSeq } = await mutate(user, 'phone', [
      set(3, 'still fine', { baseVersion: 2, field: 'note' }),
      set(4, 12, { baseVersion: 3, field: 'due' }),
      set(5, 'x'.repeat(30), { baseVersion: 3 }),
      set(6, 'mended', { baseVersion: 3 }),
      set(7, 13, { baseVersion: 4 }),
    ]);
    expect(results).toMatchObject([
      { outcome: 'applied', version: 3 },
      { outcome: 'rejected', code: 'invalid_value', path: '/due' },
      { outcome: 'rejected', code: 'invalid_value', path: '/title' },
      { outcome: 'applied', version: 4 },
      { outcome: 'rejected', code: 'invalid_value', path: '/title' },
    ]);
    expect(lastSeq).toBe(7);
    expect(await contentOf(user)).toEqual({ title: 'mended', note: 'still fine' });
    const classic = (data: unknown) =>
      sync.gateway.applyClassic(
        {
          origin: origin('old'),
          data: { id: 'b', type: 'task', dataJson: JSON.stringify(data), timestamp: 1, version: 1 },
          seenOffset: 0,
        },
        actingFor(user),
      );
    await expect(classic({ title: 7 })).rejects.toMatchObject({ code: 'invalid_request' });
    expect(await classic({ title: 'fine' })).toMatchObject({ outcome: 'applied' });
  });

  it('close a collection to devices that only pull, and open it again', async () => {
    const user = 'puller';
    await mutate(user, 'phone', [set(1, 'x')]);
    policies.replace({ task: { ...fine, direction: 'pull' } });
    const edit = (seq: number) => set(seq, 'y', { baseVersion: 1 });
    expect((await mutate(user, 'phone', [edit(2)])).results).toEqual([
      { seq: 2, outcome: 'rejected', code: 'read_only' },
    ]);
    policies.replace({ task: { ...fine, direction: 'both' } });
    expect((await mutate(user, 'phone', [edit(3)])).results).toMatchObject([{ outcome: 'applied' }]);
    expect((await logOf(user)).head).toBe(2);
  });

  it('close it to a value of one’s own in a conflict too, but not to either side', async () => {
    const user = 'chooser';
    policies.replace({ task: { ...fine, strategy: 'manual' } });
    await mutate(user, 'phone', [set(1, 'x'), set(2, 'y', { baseVersion: 1 })]);
    const { results } = await mutate(user, 'laptop', [set(1, 'z', { baseVersion: 1, hlc: hlc(1) })]);
    const { conflictId } = results[0] as { conflictId: string };
    policies.replace({ task: { ...fine, strategy: 'manual', direction: 'pull' } });
    const resolve = (choice: string, valueJson?: string) =>
      sync.gateway.resolveConflict(
        { space: 'personal', conflictId, choice, version: 2, valueJson, origin: undefined },
        actingFor(user),
      );
    await expect(resolve('value', '"mine"')).rejects.toMatchObject({ code: 'forbidden' });
    expect(await resolve('client')).toMatchObject({ conflict: { state: 'resolved' } });
  });

  it('leave the session as it is: nobody sets its rules', async () => {
    expect(() => policies.replace({ session: fine })).toThrow('the session has rules of its own');
  });
});

describe('what a collection does not keep for good', () => {
  it('is forgotten: settled conflicts and what is left of deleted documents, never what is open or alive', async () => {
    const user = 'forgetful';
    const settings = { ...fine, strategy: 'manual' } as const;
    policies.replace({ brief: settings, lasting: settings });
    for (const [at, collection] of ['brief', 'lasting'].entries()) {
      const write = (seq: number, value: unknown, more: object) =>
        set(seq + 9 * at, value, { collection, ...more });
      const clash = async (id: string, seq: number, device: string) => {
        await mutate(user, 'phone', [write(seq, 'p', { id, hlc: hlc(9) })]);
        const { results } = await mutate(user, device, [set(1, 'l', { collection, id, hlc: hlc(1) })]);
        return results[0].conflictId as string;
      };
      await clash('open', 1, `laptop of ${collection}`);
      const conflictId = await clash('settled', 2, `tablet of ${collection}`);
      await sync.gateway.resolveConflict(
        { space: 'personal', conflictId, choice: 'server', version: 1, origin: undefined },
        actingFor(user),
      );
      await mutate(user, 'phone', [
        write(3, 'x', { id: 'gone' }),
        { ...write(4, 0, { id: 'gone', baseVersion: 1 }), ops: [{ op: 'delete', path: [] }] },
        ...[5, 6, 7, 8, 9].map((seq) => write(seq, seq, { id: `d${seq}` })),
      ]);
    }
    const database = openDatabase(
      { url: sync.databaseUrl, schema: 'session_sync', migrations, applicationName: 'test', poolSize: 1 },
      { log: createLogger({ service: 'test', instance: 'test', level: 'silent' }) },
    );
    await database.run();
    const left = async () => {
      const rows = await database.query<{ what: string }>(
        `select collection || ' ' || state as what from conflict where collection in ('brief', 'lasting')
         union all select collection || ' tombstone' from document where deleted and collection in ('brief', 'lasting')`,
      );
      return rows.map(({ what }) => what).sort();
    };
    const all = ['brief', 'lasting'].flatMap((one) => [`${one} open`, `${one} resolved`, `${one} tombstone`]);
    const retained = [{ collection: 'brief', days: 30 }];
    const day = 86_400_000;
    await postgresSweeps(database).forget(Date.now() + 29 * day, retained);
    expect(await left()).toEqual(all);
    await postgresSweeps(database).forget(Date.now() + 31 * day, retained);
    expect(await left()).toEqual(['brief open', ...all.slice(3)]);
    await database.stop();
    // A device that was away does not bring back what is forgotten; whoever begins anew may use the name.
    const late = await mutate(user, 'late', [
      set(1, 'y', { collection: 'brief', id: 'gone', baseVersion: 1 }),
      set(2, 'new', { collection: 'brief', id: 'gone', baseVersion: 0 }),
    ]);
    expect(late.results).toMatchObject([{ code: 'deleted' }, { outcome: 'applied', version: 1 }]);
  });
});
