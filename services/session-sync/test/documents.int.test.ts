import { openDatabase } from '@skein/postgres';
import { emptyQueue, type Mutation, rebased, stateHashOf, valueHash } from '@skein/sync-core';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { migrations } from '../src/adapters/schema.ts';
import { actingFor, messageOf, startOnNewDatabase } from './harness.ts';
import { hlc, origin, set, writing } from './writing.ts';

let sync: Awaited<ReturnType<typeof startOnNewDatabase>>;
beforeAll(async () => {
  sync = await startOnNewDatabase();
});
afterAll(() => sync.stop());

const { mutate, logOf } = writing(() => sync);

describe('mutations', () => {
  it('are taken in order; the state, the event and the hash agree', async () => {
    const { results, lastSeq } = await mutate('editor', 'phone', [
      set(1, 'one'),
      set(2, 'two', { baseVersion: 1, field: 'note' }),
    ]);
    expect(results).toEqual([
      { seq: 1, outcome: 'applied', version: 1, offset: 1 },
      { seq: 2, outcome: 'applied', version: 2, offset: 2 },
    ]);
    expect(lastSeq).toBe(2);
    const value = { title: 'one', note: 'two' };
    const { events } = await logOf('editor');
    expect(events[1]).toMatchObject({
      type: 'document.changed',
      data: {
        ...{ collection: 'task', id: 'a', version: 2, value, hash: valueHash(value) },
        by: { device: 'phone', seq: 2 },
        ops: [{ op: 'set', path: ['note'], value: 'two' }],
      },
    });
    const { document } = await sync.gateway.getDocument(
      { space: 'personal', collection: 'task', id: 'a' },
      actingFor('editor'),
    );
    expect(document).toMatchObject({ version: 2, offset: 2, valueJson: JSON.stringify(value) });
    for await (const part of sync.gateway.readSnapshot({ space: 'personal', at: '' }, actingFor('editor')))
      expect(JSON.parse(part.json)).toMatchObject({
        documents: [{ collection: 'task', id: 'a', version: 2, value, hash: valueHash(value) }],
        stateHash: stateHashOf([{ collection: 'task', id: 'a', version: 2, hash: valueHash(value) }]),
      });
    const { spaces } = await sync.gateway.openSession(
      { device: { id: 'phone', platform: 'phone', name: '' } },
      actingFor('editor'),
    );
    expect(spaces[0]?.lastSeq).toBe(2);
  });

  it('that come again get their first answer, until the device has acknowledged it', async () => {
    const first = await mutate('resender', 'phone', [set(1, 'one')]);
    const again = await mutate('resender', 'phone', [set(1, 'one')]);
    expect(again.results).toEqual([{ seq: 1, outcome: 'duplicate', original: first.results[0] }]);
    await sync.gateway.ackDevice(
      { space: 'personal', deviceId: 'phone', offset: 1, seq: 1, epoch: '' },
      actingFor('resender'),
    );
    expect((await mutate('resender', 'phone', [set(1, 'one')])).results).toEqual([
      { seq: 1, outcome: 'duplicate' },
    ]);
    expect((await logOf('resender')).head).toBe(1);
  });

  it('keep their answer when what is acknowledged is another log’s, or more than the device has done', async () => {
    const { results, lastSeq } = await mutate('restored', 'phone', [set(1, 'one')]);
    const to = { space: 'personal', deviceId: 'phone', offset: 1 };
    await sync.gateway.ackDevice({ ...to, seq: 1, epoch: 'before-the-restore' }, actingFor('restored'));
    await sync.gateway.ackDevice({ ...to, seq: lastSeq + 1, epoch: '' }, actingFor('restored'));
    expect((await mutate('restored', 'phone', [set(1, 'one')])).results).toEqual([
      { seq: 1, outcome: 'duplicate', original: results[0] },
    ]);
  });

  it('made on a log that was restored since do nothing, whatever their numbers; made anew they are done once', async () => {
    const user = 'left-behind';
    const device = { id: 'phone', platform: 'phone', name: '' };
    const session = async () => {
      const { spaces } = await sync.gateway.openSession({ device }, actingFor(user));
      return spaces[0] ?? expect.fail('nobody without a space');
    };
    const { id, epoch } = await session();
    await mutate(user, 'phone', [set(1, 'kept')], id, epoch);
    await mutate(user, 'laptop', [set(1, 'kept as well', { id: 'b' })], id, epoch);
    const database = openDatabase(
      { url: sync.databaseUrl, schema: 'session_sync', migrations, applicationName: 'test', poolSize: 1 },
      { log: createLogger({ service: 'test', instance: 'test', level: 'silent' }) },
    );
    await database.run();
    onTestFinished(() => database.stop());
    // What `skein db reanchor` does to a space.
    await database.query(`update space set epoch = 'restored' where id = $1`, [id]);
    const late = set(2, 'late', { id: 'b', baseVersion: 1 });
    for (const one of [late, { ...late, seq: 1 }, { ...late, seq: 9 }])
      await expect(mutate(user, 'phone', [one], id, epoch)).rejects.toMatchObject({
        code: 'position_lost',
        meta: { epoch: 'restored', head: '2' },
      });
    expect((await logOf(user)).head).toBe(2);
    const now = await session();
    expect(now).toMatchObject({ epoch: 'restored', lastSeq: 1 });
    const queue = rebased(
      { ...emptyQueue, lastSeq: 9, waiting: [{ ...late, seq: 9 } as Mutation] },
      1,
      () => 1,
    );
    const { results } = await mutate(user, 'phone', queue.waiting, id, now.epoch);
    expect(results).toMatchObject([{ seq: 2, outcome: 'applied' }]);
    expect((await logOf(user)).head).toBe(3);
  });

  it('that come many times at once take effect once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => mutate('storm', 'phone', [set(1, 'one')])),
    );
    const outcomes = answers.map(({ results }) => results[0].outcome).sort();
    expect(outcomes).toEqual(['applied', ...Array(11).fill('duplicate')]);
    expect((await logOf('storm')).head).toBe(1);
  });

  it('ahead of their turn are told which is next; the same seq with other content is told so', async () => {
    await expect(mutate('jumper', 'phone', [set(3, 'x')])).rejects.toMatchObject({
      code: 'expected_seq',
      meta: { expectedSeq: '1' },
    });
    await mutate('jumper', 'phone', [set(1, 'x')]);
    await expect(mutate('jumper', 'phone', [set(1, 'y')])).rejects.toMatchObject({ code: 'seq_reused' });
    const part = await mutate('jumper', 'phone', [set(2, 'y', { baseVersion: 1 }), set(4, 'z')]);
    expect(part).toMatchObject({ results: [{ seq: 2, outcome: 'applied' }], lastSeq: 2 });
  });

  it('that can never succeed are refused one by one and do not hold up the rest', async () => {
    const value = { title: { deeper: 1 } };
    const { results, lastSeq } = await mutate('poisoned', 'phone', [
      { ...set(1, 'x'), ops: [{ op: 'set', path: ['__proto__'], value: 1 }] },
      { ...set(2, 'x'), ops: [{ op: 'increment', path: ['title', 'deeper'], value: 1 }] },
      set(3, 'x'.repeat(300_000), { id: 'large' }),
      { ...set(4, 7, { field: 'persona' }), collection: 'session', id: 'current' },
      { ...set(5, 1, { baseVersion: 1 }), ops: [{ op: 'increment', path: ['title'], value: 1 }] },
      set(6, 'from the future', { baseVersion: 99 }),
      set(7, 'fine', { baseVersion: 1, field: 'note' }),
    ]);
    expect(results).toEqual([
      { seq: 1, outcome: 'rejected', code: 'invalid_request', path: 'ops[0].path' },
      { seq: 2, outcome: 'applied', version: 1, offset: 1 },
      { seq: 3, outcome: 'rejected', code: 'too_large' },
      { seq: 4, outcome: 'rejected', code: 'invalid_value', path: '/persona' },
      { seq: 5, outcome: 'rejected', code: 'not_a_number' },
      { seq: 6, outcome: 'stale', version: 1, value },
      { seq: 7, outcome: 'applied', version: 2, offset: 2 },
    ]);
    expect(lastSeq).toBe(7);
    const { results: large } = await mutate('poisoned', 'phone', [
      { seq: 8, refused: 'too_large' },
      set(9, 'fine', { baseVersion: 2, field: 'note' }),
    ]);
    expect(large).toMatchObject([
      { seq: 8, outcome: 'rejected', code: 'too_large' },
      { seq: 9, outcome: 'applied' },
    ]);
    await expect(mutate('poisoned', 'phone', [{ seq: 'x' }])).rejects.toMatchObject({
      code: 'invalid_request',
    });
    await expect(mutate('poisoned', 'phone', [])).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('conflict field by field, and the losing value is kept', async () => {
    await mutate('two-devices', 'phone', [set(1, 'first'), set(2, 'phone', { baseVersion: 1 })]);
    const { results } = await mutate('two-devices', 'laptop', [
      set(1, 'laptop', { baseVersion: 1, hlc: hlc(1) }),
      set(2, 'unrelated', { baseVersion: 1, field: 'note', hlc: hlc(1) }),
    ]);
    expect(results).toMatchObject([
      { seq: 1, outcome: 'conflict', version: 2, conflictId: expect.any(String) },
      { seq: 2, outcome: 'merged', version: 3, value: { title: 'phone', note: 'unrelated' } },
    ]);
  });

  it('whose results are too large for one answer are taken in parts, and answered in parts when they come again', async () => {
    const text = 'x'.repeat(240_000);
    for (const n of [1, 2, 3, 4, 5, 6]) await mutate('large', 'laptop', [set(n, text, { id: `d${n}` })]);
    for (const n of [1, 2, 3, 4, 5, 6])
      await mutate('large', 'laptop', [set(6 + n, 'x', { id: `d${n}`, baseVersion: 1, field: 'note' })]);
    const edit = (n: number) => set(n, n, { id: `d${n}`, baseVersion: 1, field: 'count' });
    const queue = [1, 2, 3, 4, 5, 6].map(edit);
    const first = await mutate('large', 'phone', queue);
    expect(first.lastSeq).toBeLessThan(6);
    const second = await mutate('large', 'phone', queue.slice(first.lastSeq));
    expect([...first.results, ...second.results].map(({ outcome }) => outcome)).toEqual(
      Array(first.results.length + second.results.length).fill('merged'),
    );
    const again = await mutate('large', 'phone', queue);
    expect(again.results[0]).toEqual({ seq: 1, outcome: 'duplicate', original: first.results[0] });
    expect(again.results.length).toBeLessThan(6);
  });

  it('for a person to settle keep both sides and say so in the log', async () => {
    const note = (seq: number, text: string, baseVersion: number) =>
      set(seq, text, { collection: 'knowledge_base', id: 'n', baseVersion, field: 'text' });
    await mutate('chooser', 'phone', [note(1, 'a', 0), note(2, 'b', 1)]);
    const { results } = await mutate('chooser', 'laptop', [note(1, 'c', 1)]);
    const { events } = await logOf('chooser');
    expect(results[0]).toMatchObject({ outcome: 'conflict', conflictId: expect.any(String) });
    expect(events.at(-1)).toMatchObject({
      type: 'conflict.detected',
      data: { conflictId: results[0].conflictId, collection: 'knowledge_base', id: 'n', field: '/text' },
    });
  });

  it('delete to a tombstone: listed no more, and an edit that did not know is refused', async () => {
    await mutate('remover', 'phone', [
      set(1, 'x'),
      { ...set(2, 0), baseVersion: 1, ops: [{ op: 'delete', path: [] }] },
    ]);
    expect((await logOf('remover')).types).toEqual(['document.changed', 'document.deleted']);
    await expect(
      sync.gateway.getDocument({ space: 'personal', collection: 'task', id: 'a' }, actingFor('remover')),
    ).rejects.toMatchObject({ code: 'not_found' });
    const { results } = await mutate('remover', 'laptop', [set(1, 'y', { baseVersion: 1 })]);
    expect(results).toEqual([
      { seq: 1, outcome: 'rejected', code: 'deleted', conflictId: expect.any(String) },
    ]);
  });
});

describe('comparing', () => {
  it('gives what the client lacks or has otherwise, and what is gone', async () => {
    await mutate('comparer', 'phone', [set(1, 'x'), set(2, 'y', { id: 'b' })]);
    const items = await sync.gateway.listDocuments(
      { space: 'personal', collection: 'task', limit: 1, cursor: '' },
      actingFor('comparer'),
    );
    expect(items.items.map(({ id }) => id)).toEqual(['a']);
    const rest = await sync.gateway.listDocuments(
      { space: 'personal', collection: '', limit: 0, cursor: items.next },
      actingFor('comparer'),
    );
    expect(rest.items.map(({ id }) => id)).toEqual(['b']);
    const a = items.items[0];
    const answer = await sync.gateway.compareDocuments(
      {
        space: 'personal',
        versions: [
          { collection: 'task', id: 'a', version: 1, hash: a?.hash ?? '' },
          { collection: 'task', id: 'b', version: 1, hash: 'another' },
          { collection: 'task', id: 'c', version: 4, hash: 'x' },
        ],
        cursor: '',
      },
      actingFor('comparer'),
    );
    expect(answer.offset).toBe(2);
    expect(answer.documents.map(({ id }) => id)).toEqual(['b']);
    expect(answer.gone).toEqual([{ collection: 'task', id: 'c', version: 0, hash: '' }]);
  });
});

describe('a comparison larger than one answer', () => {
  it('comes in pages, each document once, what is gone on the first', async () => {
    const value = 'x'.repeat(240_000);
    const ids = Array.from({ length: 16 }, (_, n) => `d${String(n).padStart(2, '0')}`);
    for (const [at, id] of ids.entries()) await mutate('hoarder', 'phone', [set(at + 1, value, { id })]);
    const versions = [{ collection: 'task', id: 'old', version: 1, hash: 'x' }];
    const pages: string[][] = [];
    const gone: string[][] = [];
    let cursor = '';
    do {
      const page = await sync.gateway.compareDocuments(
        { space: 'personal', versions, cursor },
        actingFor('hoarder'),
      );
      pages.push(page.documents.map(({ id }) => id));
      gone.push(page.gone.map(({ id }) => id));
      cursor = page.next;
    } while (cursor !== '');
    expect(pages.length).toBeGreaterThan(1);
    expect(pages.flat()).toEqual(ids);
    expect(gone).toEqual([['old'], ...Array(pages.length - 1).fill([])]);
  });

  it('comes in pages for classic devices as well, unknown ids on the first', async () => {
    const versions = [{ id: 'nobody-knows', version: 1 }];
    const pages: string[][] = [];
    let cursor = '';
    do {
      const page = await sync.gateway.readClassic(
        { afterOffset: 0, versions, compare: true, deviceId: '', cursor },
        actingFor('hoarder'),
      );
      pages.push(page.items.map(({ id }) => id));
      cursor = page.next;
    } while (cursor !== '');
    expect(pages.length).toBeGreaterThan(1);
    expect(pages.flat().filter((id) => id === 'nobody-knows')).toHaveLength(1);
    expect(new Set(pages.flat()).size).toBe(17);
    expect(pages.flat()).toHaveLength(17);
  });
});

describe('the session', () => {
  const change = (user: string, more: object) =>
    sync.gateway.changeSession({ space: 'personal', origin: origin('phone'), ...more }, actingFor(user));

  it('begins with cruz and memory on, changes in the log, and only when something changes', async () => {
    expect(await change('moody', {})).toMatchObject({ offset: 0, persona: 'cruz', memoryEnabled: true });
    expect(await change('moody', { persona: 'coordinator' })).toMatchObject({
      offset: 1,
      persona: 'coordinator',
    });
    expect(await change('moody', { persona: 'coordinator' })).toMatchObject({ offset: 0 });
    expect(await change('moody', { memoryEnabled: false })).toMatchObject({
      offset: 3,
      memoryEnabled: false,
    });
    const { events } = await logOf('moody');
    expect(events.map(({ type, data }) => [type, data.persona ?? data.enabled ?? data.value])).toEqual([
      ['document.changed', { persona: 'coordinator' }],
      ['persona.changed', 'coordinator'],
      ['document.changed', { persona: 'coordinator', memoryEnabled: false }],
      ['memory.toggled', false],
    ]);
    const { persona } = await sync.gateway.appendMessage(messageOf('hi'), actingFor('moody'));
    expect(persona).toBe('coordinator');
  });

  it('is the same truth for mutations', async () => {
    await mutate('mutant', 'phone', [
      {
        ...set(1, 'data-analyst'),
        collection: 'session',
        id: 'current',
        ops: [{ op: 'set', path: ['persona'], value: 'data-analyst' }],
      },
    ]);
    expect((await logOf('mutant')).types).toEqual(['document.changed', 'persona.changed']);
    expect(await change('mutant', {})).toMatchObject({ persona: 'data-analyst' });
  });
});
