import type { syncV1 } from '@skein/contracts';
import { deriveContext } from '@skein/rpc';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collectionPolicies } from '../src/adapters/collection-policies.ts';
import { actingFor, type Running, startOnNewDatabase } from './harness.ts';
import { forged, hlc, set, writing } from './writing.ts';

let sync: Running;
beforeAll(async () => {
  const policies = collectionPolicies({
    guarded: {
      strategy: 'manual',
      deletes: 'delete_wins',
      schema: { type: 'object', properties: { title: { type: 'string' } } },
    },
  });
  sync = await startOnNewDatabase({}, { policies });
});
afterAll(() => sync.stop());

const { mutate, logOf } = writing(() => sync);

const list = (user: string, more: Partial<syncV1.ListConflictsRequest> = {}) =>
  sync.gateway.listConflicts(
    { space: 'personal', state: '', limit: 0, cursor: '', ...more },
    actingFor(user),
  );
const resolve = (
  user: string,
  conflictId: string,
  choice: string,
  version: number,
  more: Partial<syncV1.ResolveConflictRequest> = {},
) =>
  sync.gateway.resolveConflict(
    { space: 'personal', conflictId, choice, version, origin: undefined, ...more },
    actingFor(user),
  );
const undo = (user: string, conflictId: string, space = 'personal') =>
  sync.gateway.undoConflict({ space, conflictId, origin: undefined }, actingFor(user));
const contentOf = async (user: string, collection: string, id = 'a') => {
  const { document } = await sync.gateway.getDocument({ space: 'personal', collection, id }, actingFor(user));
  return JSON.parse(document?.valueJson ?? 'null') as unknown;
};

/** A phone writes a document and changes it; a laptop that saw only the first version writes the same field. */
const clash = async (user: string, collection: string, more: { id?: string; laptopMs?: number } = {}) => {
  const { id = 'a', laptopMs = 1 } = more;
  const write = (seq: number, value: string, baseVersion: number, at: number) =>
    set(seq, value, { collection, id, baseVersion, hlc: hlc(at) });
  await mutate(user, `phone-${id}`, [write(1, 'first', 0, 100), write(2, 'phone', 1, 200)]);
  const { results } = await mutate(user, `laptop-${id}`, [write(1, 'laptop', 1, laptopMs)]);
  return results[0] as { outcome: string; version: number; conflictId: string };
};

describe('the list of conflicts', () => {
  it('says what lost, against what, whose it was and why, newest first and page by page', async () => {
    const user = 'lister';
    const first = await clash(user, 'health_data');
    const second = await clash(user, 'user_preferences', { id: 'b' });
    const page = await list(user, { limit: 1 });
    expect(page.items).toMatchObject([
      {
        ...{ id: second.conflictId, collection: 'user_preferences', documentId: 'b', field: '/title' },
        ...{ strategy: 'client_wins', reason: 'client', state: 'settled', winner: 'client' },
        ...{ serverJson: '"phone"', clientJson: '"laptop"', serverVersion: 2, baseVersion: 1, version: 3 },
        ...{ userId: user, deviceId: 'laptop-b', seq: 1, choice: '', closedAtMs: 0 },
      },
    ]);
    const rest = await list(user, { cursor: page.next });
    expect(rest).toMatchObject({
      items: [{ id: first.conflictId, winner: 'server', reason: 'server', serverVersion: 2, version: 2 }],
      next: '',
    });
    expect((await list(user, { state: 'open' })).items).toEqual([]);
    await expect(list(user, { state: 'closed' })).rejects.toMatchObject({ code: 'invalid_request' });
    for (const cursor of ['x', forged([1, 'x']), forged([1.5, second.conflictId]), forged([1])])
      await expect(list(user, { cursor })).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('comes in pages that fit a message, however large the values are', async () => {
    const user = 'large';
    const text = (letter: string) => letter.repeat(250_000);
    for (let n = 1; n <= 9; n += 1) {
      const id = `d${n}`;
      const write = (value: string, more: object) =>
        set(n, value, { id, collection: 'health_data', ...more });
      await mutate(user, 'phone', [write(text('p'), {})]);
      await mutate(user, 'laptop', [write(text('l'), {})]);
    }
    const seen: string[] = [];
    let cursor = '';
    let pages = 0;
    do {
      const page = await list(user, { cursor });
      seen.push(...page.items.map(({ documentId }) => documentId));
      cursor = page.next;
      pages += 1;
    } while (cursor !== '');
    expect(pages).toBeGreaterThan(1);
    expect(seen).toEqual(['d9', 'd8', 'd7', 'd6', 'd5', 'd4', 'd3', 'd2', 'd1']);
  });
});

describe('undoing a settled conflict', () => {
  it('brings the loser back as a change everybody sees, once', async () => {
    const user = 'undoer';
    const { conflictId } = await clash(user, 'health_data');
    const { head } = await logOf(user);
    const undone = await undo(user, conflictId);
    expect(undone.conflict).toEqual({
      ...{ conflictId, state: 'undone', collection: 'health_data', documentId: 'a' },
      ...{ version: 3, offset: head + 2 },
    });
    expect(await contentOf(user, 'health_data')).toEqual({ title: 'laptop' });
    const { events } = await logOf(user);
    expect(events.slice(head)).toMatchObject([
      { type: 'document.changed', data: { version: 3, value: { title: 'laptop' } } },
      {
        type: 'conflict.resolved',
        actor: { user },
        data: {
          ...{ conflictId, collection: 'health_data', id: 'a', field: '/title', state: 'undone' },
          ...{ choice: 'client', version: 3 },
          parents: { server: { version: 2 }, client: { device: 'laptop-a', baseVersion: 1, seq: 1 } },
        },
      },
    ]);
    expect((await undo(user, conflictId)).conflict).toMatchObject({ state: 'undone', version: 3, offset: 0 });
    expect((await logOf(user)).head).toBe(head + 2);
    expect((await list(user)).items).toMatchObject([
      { state: 'undone', choice: 'client', closedBy: user, closedVersion: 3 },
    ]);
  });

  it('is refused when the field was written or the document deleted since, and by nothing else', async () => {
    const user = 'late';
    const { conflictId } = await clash(user, 'health_data');
    await mutate(user, 'phone-a', [
      set(3, 'x', { collection: 'health_data', baseVersion: 2, field: 'note' }),
    ]);
    await mutate(user, 'phone-a', [set(4, 'y', { collection: 'health_data', baseVersion: 3 })]);
    await expect(undo(user, conflictId)).rejects.toMatchObject({
      code: 'superseded',
      meta: { version: '4' },
    });
    const other = await clash(user, 'health_data', { id: 'b' });
    await mutate(user, 'phone-b', [
      set(3, 'x', { collection: 'health_data', id: 'b', baseVersion: 2, field: 'n' }),
    ]);
    expect((await undo(user, other.conflictId)).conflict).toMatchObject({ state: 'undone', version: 4 });
    expect(await contentOf(user, 'health_data', 'b')).toEqual({ title: 'laptop', n: 'x' });
    const third = await clash(user, 'health_data', { id: 'c' });
    const remove = { ...set(3, 0), collection: 'health_data', id: 'c', ops: [{ op: 'delete', path: [] }] };
    await mutate(user, 'phone-c', [{ ...remove, baseVersion: 2 }]);
    await expect(undo(user, third.conflictId)).rejects.toMatchObject({ code: 'superseded' });
  });

  it('brings back what was deleted under an edit, and an edit that was refused because of a delete', async () => {
    const user = 'deleter';
    const remove = (seq: number, baseVersion: number) => ({
      ...{ ...set(seq, 0), baseVersion },
      ops: [{ op: 'delete', path: [] }],
    });
    await mutate(user, 'phone', [set(1, 'first'), set(2, 'edited', { baseVersion: 1 })]);
    const { results } = await mutate(user, 'laptop', [remove(1, 1)]);
    expect(results).toMatchObject([{ outcome: 'merged', version: 3, conflictId: expect.any(String) }]);
    expect((await undo(user, results[0].conflictId)).conflict).toMatchObject({ version: 4 });
    expect(await contentOf(user, 'task')).toEqual({ title: 'edited' });

    await mutate(user, 'laptop', [remove(2, 4)]);
    const late = await mutate(user, 'phone', [set(3, 'from the train', { baseVersion: 4 })]);
    expect(late.results).toMatchObject([{ outcome: 'rejected', code: 'deleted' }]);
    await undo(user, late.results[0].conflictId);
    expect(await contentOf(user, 'task')).toEqual({ title: 'from the train' });
  });

  it('is done once per idempotency key, and for editors of the space only', async () => {
    const user = 'keyed';
    const { conflictId } = await clash(user, 'health_data');
    const ctx = deriveContext(actingFor(user), { idempotencyKey: 'k' });
    const request = { space: 'personal', conflictId, origin: undefined };
    const first = await sync.gateway.undoConflict(request, ctx);
    expect(await sync.gateway.undoConflict(request, ctx)).toEqual(first);
    const other = await clash(user, 'health_data', { id: 'b' });
    await expect(
      sync.gateway.undoConflict({ ...request, conflictId: other.conflictId }, ctx),
    ).rejects.toMatchObject({ code: 'idempotency_mismatch' });
    await expect(undo('stranger', other.conflictId)).rejects.toMatchObject({ code: 'not_found' });
    const { space } = await sync.gateway.getSpace({ space: 'personal' }, actingFor(user));
    await expect(undo('stranger', other.conflictId, space?.id)).rejects.toMatchObject({ code: 'not_found' });
    await expect(undo(user, 'no-id')).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('resolving an open conflict', () => {
  it('is a choice between both sides, on a version the person has seen', async () => {
    const user = 'chooser';
    const { outcome, conflictId, version } = await clash(user, 'knowledge_base');
    expect([outcome, version]).toEqual(['conflict', 2]);
    await expect(undo(user, conflictId)).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(resolve(user, conflictId, 'client', 1)).rejects.toMatchObject({
      ...{ code: 'superseded', meta: { version: '2' } },
    });
    await expect(resolve(user, conflictId, 'client', 9)).rejects.toMatchObject({ code: 'invalid_request' });
    const { head } = await logOf(user);
    expect((await resolve(user, conflictId, 'client', 2)).conflict).toMatchObject({
      ...{ state: 'resolved', version: 3, offset: head + 2 },
    });
    expect(await contentOf(user, 'knowledge_base')).toEqual({ title: 'laptop' });
    const { events } = await logOf(user);
    expect(events.at(-1)).toMatchObject({
      type: 'conflict.resolved',
      data: {
        ...{ state: 'resolved', choice: 'client' },
        parents: { server: { version: 2 }, client: { seq: 1 } },
      },
    });
    // Again is the same; another choice comes too late.
    expect((await resolve(user, conflictId, 'client', 2)).conflict).toMatchObject({ version: 3, offset: 0 });
    await expect(resolve(user, conflictId, 'server', 3)).rejects.toMatchObject({
      ...{ code: 'superseded', meta: { state: 'resolved' } },
    });
    await expect(undo(user, conflictId)).rejects.toMatchObject({ code: 'superseded' });
  });

  it('may keep what stands, which is a new version too: later writes of what was before clash with it', async () => {
    const user = 'keeper';
    const { conflictId } = await clash(user, 'knowledge_base');
    expect((await resolve(user, conflictId, 'server', 2)).conflict).toMatchObject({ version: 3 });
    expect(await contentOf(user, 'knowledge_base')).toEqual({ title: 'phone' });
    const { results } = await mutate(user, 'laptop-a', [
      set(2, 'again', { collection: 'knowledge_base', baseVersion: 2 }),
    ]);
    expect(results).toMatchObject([{ outcome: 'conflict' }]);
  });

  it('may say a third thing, within the limits of a document and of its collection', async () => {
    const user = 'writer';
    const { conflictId } = await clash(user, 'guarded');
    const say = (valueJson: string | undefined, choice = 'value') =>
      resolve(user, conflictId, choice, 2, { valueJson });
    for (const valueJson of ['7', '{', '{"__proto__":1}', undefined, `"${'x'.repeat(300_000)}"`])
      await expect(say(valueJson)).rejects.toMatchObject({ code: /^(invalid_request|too_large)$/ });
    await expect(say('"x"', 'client')).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(say(undefined, 'both')).rejects.toMatchObject({ code: 'invalid_request' });
    expect((await say('"both of them"')).conflict).toMatchObject({ state: 'resolved' });
    expect(await contentOf(user, 'guarded')).toEqual({ title: 'both of them' });
  });

  it('has one winner when two people choose at the same moment', async () => {
    const user = 'twins';
    const { conflictId } = await clash(user, 'knowledge_base');
    const answers = await Promise.allSettled([
      resolve(user, conflictId, 'client', 2),
      resolve(user, conflictId, 'server', 2),
      resolve(user, conflictId, 'client', 2),
      resolve(user, conflictId, 'server', 2),
    ]);
    const won = answers.flatMap((one) => (one.status === 'fulfilled' ? [one.value.conflict?.offset] : []));
    expect(won).toHaveLength(2);
    expect(won.filter((offset) => offset !== 0)).toHaveLength(1);
    expect((await logOf(user)).types.filter((type) => type === 'conflict.resolved')).toHaveLength(1);
  });

  it('is asked for once per value, and for so many at most', async () => {
    const user = 'asked';
    const note = (seq: number, text: string, baseVersion: number) =>
      set(seq, text, { collection: 'knowledge_base', baseVersion, hlc: hlc(1) });
    await mutate(user, 'phone', [set(1, 'one', { collection: 'knowledge_base', hlc: hlc(9) })]);
    const first = await mutate(user, 'laptop', [note(1, 'three', 0)]);
    const again = await mutate(user, 'laptop', [note(2, 'three', 0)]);
    expect(again.results[0]).toMatchObject({ outcome: 'conflict', conflictId: first.results[0].conflictId });
    const more = Array.from({ length: 60 }, (_, at) => note(3 + at, `other ${at}`, 0));
    const { results } = await mutate(user, 'laptop', more);
    const codes = results.map((one: { outcome: string; code?: string }) => one.code ?? one.outcome);
    expect(codes).toEqual([...Array(49).fill('conflict'), ...Array(11).fill('too_many_conflicts')]);
    expect((await list(user, { state: 'open', limit: 200 })).items).toHaveLength(50);
  });
});
