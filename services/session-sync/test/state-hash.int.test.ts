import { stateHashOf } from '@skein/sync-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { personalSpaceId } from '../src/app/personal-space.ts';
import { actingFor, asService, type Running, startOnNewDatabase } from './harness.ts';

let sync: Running;
beforeAll(async () => {
  sync = await startOnNewDatabase();
});
afterAll(() => sync.stop());

const origin = { device: { id: 'phone', platform: 'classic', name: '' } };
const mutate = async (user: string, mutations: readonly Record<string, unknown>[]) => {
  const whole = mutations.map((one, at) => ({
    ...{ seq: at + 1, baseVersion: 0, hlc: `${(1_000 + at).toString(16).padStart(12, '0')}-0000-phone` },
    ...one,
  }));
  const { resultsJson } = await sync.gateway.mutate(
    { space: 'personal', origin, mutationsJson: JSON.stringify(whole) },
    actingFor(user),
  );
  return JSON.parse(resultsJson) as Record<string, unknown>[];
};
const set = (collection: string, id: string, value: unknown) => ({
  ...{ collection, id, ops: [{ op: 'set', path: ['v'], value }] },
});
const classic = (user: string, version: number, seenOffset = 0, value: unknown = { v: 1 }) =>
  sync.gateway.applyClassic(
    {
      origin,
      data: { id: 'doc', type: 'task', dataJson: JSON.stringify(value), timestamp: 1_000, version },
      seenOffset,
    },
    actingFor(user),
  );

const hashOf = async (user: string) => {
  const spaces = [personalSpaceId(user)];
  const { items } = await sync.gateway.readStateHashes({ spaces }, asService());
  return items[0];
};
const snapshotOf = async (user: string) => {
  const documents: { collection: string; id: string; version: number; hash: string }[] = [];
  let last: { epoch: string; offset: number; stateHash: string } | undefined;
  for await (const part of sync.gateway.readSnapshot({ space: 'personal', at: '' }, actingFor(user))) {
    const state = JSON.parse(part.json) as { documents: typeof documents; stateHash: string };
    documents.push(...state.documents);
    last = { epoch: part.epoch, offset: part.offset, stateHash: state.stateHash };
  }
  return { documents, last };
};

describe('a state hash', () => {
  it('is that of the snapshot at the same position, whatever names and values the documents have', async () => {
    const user = 'hashed';
    await mutate(user, [
      set('task', 'a', 'x'),
      set('任务', 'ключ \u{1f512}', { deep: [1, 2.5, null] }),
      ...Array.from({ length: 40 }, (_, at) => set('notes', `n${at}`, at)),
      { collection: 'notes', id: 'n7', baseVersion: 1, ops: [{ op: 'delete', path: [] }] },
    ]);
    const { documents, last } = await snapshotOf(user);
    expect(documents).toHaveLength(41);
    expect(last?.stateHash).toBe(stateHashOf(documents));
    expect(await hashOf(user)).toEqual({ space: personalSpaceId(user), ...last });
  });

  it('is read for many spaces at once; the empty one has one, what is not there has none', async () => {
    for (const user of ['many-a', 'many-b', 'many-empty'])
      await sync.gateway.openSession({ device: origin.device }, actingFor(user));
    await mutate('many-a', [set('task', 'a', 1)]);
    await mutate('many-b', [set('task', 'a', 2)]);
    const spaces = ['many-a', 'many-b', 'many-empty', 'nobody'].map(personalSpaceId);
    const { items } = await sync.gateway.readStateHashes({ spaces: [...spaces, 'no id'] }, asService());
    const hashes = new Map(items.map(({ space, stateHash }) => [space, stateHash]));
    expect([...hashes.keys()].sort()).toEqual(spaces.slice(0, 3).sort());
    expect(hashes.get(spaces[2] ?? '')).toBe('1:0000000000000000');
    expect(new Set(hashes.values()).size).toBe(3);
  });

  it('is for gateways, a hundred spaces at a time', async () => {
    await expect(sync.agent.readStateHashes({ spaces: [] }, asService())).rejects.toMatchObject({
      code: 'forbidden',
    });
    const spaces = Array.from({ length: 101 }, () => personalSpaceId('any'));
    await expect(sync.gateway.readStateHashes({ spaces }, asService())).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });
});

describe('a version that a classic client raised without changing anything', () => {
  it('is not part of the state: no event, the same hash, the version of the last event in every read', async () => {
    const user = 'raiser';
    await classic(user, 1);
    const before = await hashOf(user);
    expect(await classic(user, 9)).toMatchObject({ outcome: 'unchanged', offset: 0, server: { version: 9 } });
    expect(await hashOf(user)).toEqual(before);
    const { documents, last } = await snapshotOf(user);
    expect(documents).toMatchObject([{ id: 'doc', version: 1 }]);
    expect(last?.stateHash).toBe(before?.stateHash);
    const ctx = actingFor(user);
    const place = { space: 'personal', collection: 'task', id: 'doc' };
    expect((await sync.gateway.getDocument(place, ctx)).document).toMatchObject({ version: 1 });
    const hash = documents[0]?.hash ?? '';
    const versions = [{ collection: 'task', id: 'doc', version: 1, hash }];
    expect(
      await sync.gateway.compareDocuments({ space: 'personal', versions, cursor: '' }, ctx),
    ).toMatchObject({
      ...{ documents: [], gone: [] },
    });
    const { items } = await sync.gateway.readClassic(
      { afterOffset: 0, versions: [], compare: false, deviceId: '', cursor: '' },
      ctx,
    );
    expect(items).toMatchObject([{ id: 'doc', version: 9 }]);
  });

  it('is passed by the next write, so that classic clients take it for newer, and clashes with nobody', async () => {
    const user = 'passer';
    await classic(user, 1);
    await classic(user, 9);
    const results = await mutate(user, [{ ...set('task', 'doc', 2), baseVersion: 1 }]);
    expect(results).toMatchObject([{ outcome: 'applied', version: 10 }]);
    const { documents, last } = await snapshotOf(user);
    expect(documents).toMatchObject([{ version: 10 }]);
    expect((await hashOf(user))?.stateHash).toBe(last?.stateHash);
    // The same again changes nothing, and its answer names the same version.
    const again = { ...set('task', 'doc', 2), baseVersion: 10, seq: 2 };
    expect(await mutate(user, [again])).toMatchObject([{ version: 10 }]);
    expect(await classic(user, 11, last?.offset, { v: 3 })).toMatchObject({
      ...{ outcome: 'applied', server: { version: 11 } },
    });
  });
});
