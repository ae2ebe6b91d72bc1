import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { actingFor, type Running, startOnNewDatabase } from './harness.ts';

let sync: Running;
beforeAll(async () => {
  sync = await startOnNewDatabase();
});
afterAll(() => sync.stop());

/** A classic device that remembers what it was sent. */
const classicDevice = (user: string, id: string) => {
  const ctx = actingFor(user);
  return {
    seen: 0,
    async send(
      type: string,
      data: unknown,
      version: number,
      more: { id?: string; timestamp?: number; raw?: string } = {},
    ) {
      return sync.gateway.applyClassic(
        {
          origin: { device: { id, platform: 'classic', name: '' } },
          data: {
            id: more.id ?? 'doc',
            type,
            dataJson: more.raw ?? JSON.stringify(data),
            timestamp: more.timestamp ?? 1_000,
            version,
          },
          seenOffset: this.seen,
        },
        ctx,
      );
    },
    head: async () =>
      (await sync.gateway.readEvents({ space: 'personal', epoch: '', after: 0, limit: 1 }, ctx)).head,
    compare: async (versions: { id: string; version: number }[]) =>
      (
        await sync.gateway.readClassic(
          { afterOffset: 0, versions, compare: true, deviceId: '', cursor: '' },
          ctx,
        )
      ).items,
    since: (afterOffset: number, deviceId = '') =>
      sync.gateway.readClassic({ afterOffset, versions: [], compare: false, deviceId, cursor: '' }, ctx),
    ack: (offset: number) => sync.gateway.ackDevice({ space: 'personal', deviceId: id, offset, seq: 0 }, ctx),
  };
};

/** Deletes a task from another kind of device. */
const deleteAs = async (user: string, id: string, collection = 'task') => {
  const hlc = '000000000fff-0000-web';
  const mutations = [{ seq: 1, collection, id, baseVersion: 1, ops: [{ op: 'delete' }], hlc }];
  const { resultsJson } = await sync.gateway.mutate(
    {
      space: 'personal',
      origin: { device: { id: 'web', platform: 'web', name: '' } },
      mutationsJson: JSON.stringify(mutations),
    },
    actingFor(user),
  );
  expect(JSON.parse(resultsJson)).toMatchObject([{ outcome: 'applied' }]);
};

describe('a classic write', () => {
  it('applies when it is new or follows the head the device was sent, and keeps every byte', async () => {
    const phone = classicDevice('plain', 'phone');
    const raw = '{"b": 1.0,  "2":"\\u00e9","a":[1e2]}';
    expect(await phone.send('task', null, 1, { raw })).toMatchObject({
      outcome: 'applied',
      offset: 1,
      server: { version: 1, dataJson: raw },
    });
    phone.seen = 1;
    expect(await phone.send('task', { n: 2 }, 7)).toMatchObject({
      outcome: 'applied',
      server: { version: 7 },
    });
    const { items, offset } = await phone.since(0);
    expect(items).toMatchObject([
      { id: 'doc', type: 'task', dataJson: '{"n":2}', version: 7, timestamp: 1_000 },
    ]);
    expect(offset).toBe(2);
  });

  it('with the same content raises the head without an event', async () => {
    const phone = classicDevice('same', 'phone');
    await phone.send('task', { n: 1 }, 1);
    expect(await phone.send('task', { n: 1 }, 9)).toMatchObject({
      outcome: 'unchanged',
      offset: 0,
      server: { version: 9 },
    });
    expect(await phone.send('task', { n: 1 }, 4)).toMatchObject({
      outcome: 'unchanged',
      server: { version: 9 },
    });
    expect(await phone.head()).toBe(1);
  });

  it.each([
    ['health_data', 5, 'server', 1],
    ['something_else', 5, 'server', 1],
    ['user_preferences', 5, 'client', 1],
    ['task', 2_000, 'client', 1],
    ['task', 5, 'server', 1],
  ])(
    'of a device that was not sent the head is settled: %s at %i goes to the %s',
    async (type, timestamp, winner, bump) => {
      const user = `settle-${type}-${timestamp}`;
      const phone = classicDevice(user, 'phone');
      const laptop = classicDevice(user, 'laptop');
      await phone.send(type, { from: 'server' }, 3);
      const answer = await laptop.send(type, { from: 'client' }, 8, { timestamp });
      expect(answer).toMatchObject({
        outcome: 'settled',
        offset: 2,
        server: { version: 8 + bump, dataJson: JSON.stringify({ from: winner }) },
      });
      const { events } = await sync.gateway.readEvents(
        { space: 'personal', epoch: '', after: 1, limit: 0 },
        actingFor(user),
      );
      expect(JSON.parse(events[0]?.json ?? '')).toMatchObject({
        type: 'document.changed',
        actor: { device: 'laptop' },
        data: { version: 8 + bump, settled: true },
      });
    },
  );

  it('of a diagnosis is merged: the server keeps all but the notes and the local time', async () => {
    const phone = classicDevice('patient', 'phone');
    const laptop = classicDevice('patient', 'laptop');
    await phone.send('diagnosis_result', { result: 'ok', clientNotes: 'old' }, 1);
    const sent = { result: 'changed', clientNotes: 'mine', localTimestamp: 5 };
    expect(await laptop.send('diagnosis_result', sent, 1)).toMatchObject({
      outcome: 'settled',
      server: {
        version: 3,
        dataJson: JSON.stringify({ result: 'ok', clientNotes: 'mine', localTimestamp: 5 }),
      },
    });
  });

  it('of knowledge waits for a person, and the same value again is the same conflict', async () => {
    const phone = classicDevice('librarian', 'phone');
    const laptop = classicDevice('librarian', 'laptop');
    await phone.send('knowledge_base', { text: 'a' }, 1);
    const first = await laptop.send('knowledge_base', { text: 'b' }, 1);
    expect(first).toMatchObject({ outcome: 'conflict', server: { dataJson: '{"text":"a"}', version: 1 } });
    const again = await laptop.send('knowledge_base', { text: 'b' }, 1);
    expect(again).toMatchObject({ outcome: 'conflict', conflictId: first.conflictId, offset: 0 });
  });

  it('that jumps too far is no successor, even from a device that saw the head', async () => {
    const phone = classicDevice('jumpy', 'phone');
    await phone.send('health_data', { n: 1 }, 1);
    phone.seen = 1;
    expect(await phone.send('health_data', { n: 2 }, 10_002)).toMatchObject({
      outcome: 'settled',
      server: { version: 10_003, dataJson: '{"n":1}' },
    });
  });

  it('ends: two devices that answer every update with what they have agree after a few rounds', async () => {
    for (const type of ['health_data', 'user_preferences', 'diagnosis_result', 'task']) {
      const user = `duel-${type}`;
      const devices = ['a', 'b'].map((id, at) => ({
        ...classicDevice(user, id),
        mine: { data: JSON.stringify({ from: id, clientNotes: id }), version: at + 1 },
      }));
      let sends = 0;
      for (let round = 0; round < 6; round += 1)
        for (const device of devices) {
          const { items, offset } = await device.since(0);
          const server = items[0];
          if (server && server.version > device.mine.version)
            device.mine = { data: server.dataJson, version: server.version };
          device.seen = offset;
          if (server && server.version === device.mine.version && server.dataJson === device.mine.data)
            continue;
          sends += 1;
          const answer = await device.send(type, null, device.mine.version, { raw: device.mine.data });
          if (answer.outcome !== 'applied' && answer.server)
            device.mine = { data: answer.server.dataJson, version: answer.server.version };
        }
      expect(devices[0]?.mine).toEqual(devices[1]?.mine);
      expect(sends).toBeLessThanOrEqual(4);
    }
  });

  it('does not bring back what was deleted while its device was away, however often it is sent', async () => {
    const user = 'offline';
    const phone = classicDevice(user, 'phone');
    await phone.send('task', { a: 1 }, 1);
    phone.seen = 1;
    await deleteAs(user, 'doc');
    const told: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      const version: number = (told.at(-1) ?? 1) + (round === 0 ? 1 : 0);
      const { outcome, server } = await phone.send('task', { a: 2 }, version);
      expect([outcome, server?.dataJson]).toEqual(['settled', 'null']);
      told.push(server?.version ?? 0);
      // What it was told is what the server has: nothing is left to tell it.
      expect(await phone.compare([{ id: 'doc', version: server?.version ?? 0 }])).toEqual([]);
    }
    expect(told).toEqual([3, 4, 5]);
    // Who has seen the deletion may write anew.
    phone.seen = await phone.head();
    expect(await phone.send('task', { a: 3 }, 6)).toMatchObject({ outcome: 'applied' });
  });

  it('is refused when it is malformed', async () => {
    const phone = classicDevice('broken', 'phone');
    await expect(phone.send('task', null, 1, { raw: '{' })).rejects.toMatchObject({
      code: 'invalid_request',
    });
    await expect(phone.send('', {}, 1)).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(phone.send('task', {}, 1, { id: '' })).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(phone.send('task', {}, -1)).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(phone.send('task', 'x'.repeat(300_000), 1)).rejects.toMatchObject({ code: 'too_large' });
  });
});

describe('a conflict that a classic device leaves open', () => {
  const types = async (user: string) =>
    (
      await sync.gateway.readEvents({ space: 'personal', epoch: '', after: 0, limit: 0 }, actingFor(user))
    ).events.map(({ type, json }) => [type, (JSON.parse(json) as { data: { choice?: string } }).data.choice]);
  const openOf = async (user: string) => {
    const request = { space: 'personal', state: 'open', limit: 0, cursor: '' };
    return (await sync.gateway.listConflicts(request, actingFor(user))).items;
  };
  /** Two devices write one note; the second has to choose. */
  const clash = async (user: string) => {
    const [phone, laptop] = [classicDevice(user, 'phone'), classicDevice(user, 'laptop')];
    await phone.send('knowledge_base', { from: 'phone' }, 3);
    const answer = await laptop.send('knowledge_base', { from: 'laptop' }, 3);
    expect(answer).toMatchObject({ outcome: 'conflict', server: { dataJson: '{"from":"phone"}' } });
    laptop.seen = await laptop.head();
    return { phone, laptop, conflictId: answer.conflictId };
  };

  it.each([
    ['its own side', { from: 'laptop' }, 'client'],
    ['what stands', { from: 'phone' }, 'server'],
    ['something else', { from: 'both' }, 'value'],
  ])('ends with its next write of %s', async (_, data, choice) => {
    const user = `chooses-${choice}`;
    const { laptop } = await clash(user);
    expect(await openOf(user)).toHaveLength(1);
    await laptop.send('knowledge_base', data, 4);
    expect(await openOf(user)).toEqual([]);
    expect((await types(user)).at(-1)).toEqual(['conflict.resolved', choice]);
    const { items } = await laptop.since(0);
    expect(items).toMatchObject([{ dataJson: JSON.stringify(data), version: 4 }]);
  });

  it('is not ended by what another device writes', async () => {
    const { phone } = await clash('two-minds');
    phone.seen = await phone.head();
    await phone.send('knowledge_base', { from: 'phone', more: 1 }, 4);
    expect(await openOf('two-minds')).toHaveLength(1);
  });

  it('is told by a version above its own when it is resolved elsewhere, and it rests', async () => {
    const user = 'elsewhere';
    const { laptop, conflictId } = await clash(user);
    // It goes on without having looked, under a version far above.
    laptop.seen = 0;
    await laptop.send('knowledge_base', { from: 'laptop', later: 1 }, 900);
    const open = await openOf(user);
    for (const { id } of open.filter((one) => one.id !== conflictId))
      await sync.gateway.resolveConflict(
        { space: 'personal', conflictId: id, choice: 'server', version: 3, origin: undefined },
        actingFor(user),
      );
    const { items } = await laptop.since(0);
    expect(items.at(-1)?.version).toBeGreaterThan(900);
    laptop.seen = await laptop.head();
    const echo = items.at(-1);
    expect(
      await laptop.send('knowledge_base', null, echo?.version ?? 0, { raw: echo?.dataJson ?? '' }),
    ).toMatchObject({ outcome: 'unchanged', offset: 0 });
  });

  it('is refused above fifty of a document', async () => {
    const user = 'stubborn';
    const { laptop } = await clash(user);
    laptop.seen = 0;
    for (let n = 1; n < 50; n += 1) await laptop.send('knowledge_base', { n }, 3);
    await expect(laptop.send('knowledge_base', { n: 51 }, 3)).rejects.toMatchObject({ code: 'forbidden' });
    // The same again is the same question.
    expect(await laptop.send('knowledge_base', { n: 1 }, 3)).toMatchObject({
      outcome: 'conflict',
      offset: 0,
    });
  });

  it('is kept when it met a deletion, and comes back by undo where deletes win', async () => {
    const user = 'met-a-delete';
    const phone = classicDevice(user, 'phone');
    await phone.send('task', { a: 1 }, 1);
    await deleteAs(user, 'doc');
    // What it had anyway is no edit; what it made of it is.
    expect((await phone.send('task', { a: 1 }, 1)).conflictId).toBe('');
    const lost = await phone.send('task', { a: 2 }, 2);
    expect(lost).toMatchObject({ outcome: 'settled', server: { dataJson: 'null' } });
    await sync.gateway.undoConflict(
      { space: 'personal', conflictId: lost.conflictId, origin: undefined },
      actingFor(user),
    );
    const { items } = await phone.since(0);
    expect(items).toMatchObject([{ dataJson: '{"a":2}' }]);
    expect(items[0]?.version).toBeGreaterThan(lost.server?.version ?? 0);
  });

  it('brings back what was deleted where edits win', async () => {
    const user = 'edits-win';
    const phone = classicDevice(user, 'phone');
    await phone.send('health_data', { a: 1 }, 1);
    await deleteAs(user, 'doc', 'health_data');
    expect(await phone.send('health_data', { a: 1 }, 1)).toMatchObject({ server: { dataJson: 'null' } });
    expect(await phone.send('health_data', { a: 2 }, 2)).toMatchObject({
      ...{ outcome: 'settled', server: { dataJson: '{"a":2}', version: 4 } },
    });
  });

  it('never makes a document that is too large out of two that are not', async () => {
    const user = 'two-halves';
    const [phone, laptop] = [classicDevice(user, 'phone'), classicDevice(user, 'laptop')];
    await phone.send('diagnosis_result', { findings: 'x'.repeat(200_000) }, 1);
    const settled = await laptop.send('diagnosis_result', { clientNotes: 'y'.repeat(200_000) }, 1);
    expect(settled).toMatchObject({ outcome: 'settled', server: { version: 3 } });
    expect(settled.server?.dataJson).toContain('findings');
    expect(settled.server?.dataJson).not.toContain('clientNotes');
    expect(settled.conflictId).not.toBe('');
  });

  it('never holds what could reach a prototype', async () => {
    const phone = classicDevice('polluter', 'phone');
    for (const raw of ['{"__proto__":{"a":1}}', '{"a":[{"constructor":1}]}'])
      await expect(phone.send('task', null, 1, { raw })).rejects.toMatchObject({ code: 'invalid_request' });
  });
});

describe('a classic read', () => {
  it('tells of deletions: what changed, and what differs as far as the client has it', async () => {
    const user = 'deleter';
    const phone = classicDevice(user, 'phone');
    for (const id of ['gone', 'kept']) await phone.send('task', { id }, 1, { id });
    const { offset } = await phone.since(0);
    await deleteAs(user, 'gone');
    const gone = { id: 'gone', type: 'task', dataJson: 'null', version: 2 };
    const changed = await phone.since(offset);
    expect(changed).toMatchObject({ items: [gone], offset: offset + 1 });
    expect((await phone.since(changed.offset)).items).toEqual([]);
    const kept = { id: 'kept', version: 1 };
    expect(await phone.compare([{ id: 'gone', version: 1 }, kept])).toMatchObject([gone]);
    expect(await phone.compare([{ id: 'gone', version: 2 }, kept])).toEqual([]);
    expect(await phone.compare([kept])).toEqual([]);
  });

  it('answers a sync_request with what differs either way and what nobody knows', async () => {
    const phone = classicDevice('reader', 'phone');
    for (const id of ['same', 'older', 'ahead', 'lacking']) await phone.send('task', { id }, 5, { id });
    const items = await phone.compare([
      { id: 'same', version: 5 },
      { id: 'older', version: 4 },
      { id: 'ahead', version: 6 },
      { id: 'nobody', version: 2 },
    ]);
    expect(items.map(({ id, version }) => [id, version]).sort()).toEqual([
      ['ahead', 5],
      ['lacking', 5],
      ['nobody', 0],
      ['older', 5],
    ]);
    expect(items.at(-1)).toEqual({
      id: 'nobody',
      type: 'unknown',
      dataJson: 'null',
      timestamp: 0,
      version: 0,
    });
  });

  it('goes on from what the device has acknowledged', async () => {
    const phone = classicDevice('acker', 'phone');
    await phone.send('task', 1, 1, { id: 'one' });
    await phone.send('task', 2, 1, { id: 'two' });
    await phone.ack(1);
    const { items, offset } = await phone.since(0, 'phone');
    expect(items.map(({ id }) => id)).toEqual(['two']);
    expect(offset).toBe(2);
    expect((await phone.since(0, 'another')).items).toHaveLength(2);
  });

  it('comes in pages that fit a message; the offset says how far a page reaches', async () => {
    const phone = classicDevice('heavy', 'phone');
    for (let n = 0; n < 14; n += 1) await phone.send('task', 'x'.repeat(250_000), 1, { id: `d${n}` });
    const ids: string[] = [];
    let after = 0;
    for (let page = 0; page < 5; page += 1) {
      const { items, offset } = await phone.since(after);
      ids.push(...items.map(({ id }) => id));
      after = offset;
    }
    expect(ids).toEqual(Array.from({ length: 14 }, (_, n) => `d${n}`));
    expect(after).toBe(14);
  });
});
