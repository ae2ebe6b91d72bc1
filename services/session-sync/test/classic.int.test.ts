import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { classicDevices } from './classic-device.ts';
import { actingFor, type Running, startOnNewDatabase } from './harness.ts';

let sync: Running;
beforeAll(async () => {
  sync = await startOnNewDatabase();
});
afterAll(() => sync.stop());

const { classicDevice, deleteAs } = classicDevices(() => sync);

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

  it('that saw the head of another log is no successor: what it saw may not be there any more', async () => {
    const phone = classicDevice('restored', 'phone');
    await phone.send('health_data', { n: 1 }, 1);
    phone.seen = 1;
    phone.epoch = 'before-the-restore';
    expect(await phone.send('health_data', { n: 2 }, 2)).toMatchObject({
      outcome: 'settled',
      server: { version: 3, dataJson: '{"n":1}' },
    });
    phone.epoch = (await phone.since(0)).epoch;
    phone.seen = (await phone.since(0)).offset;
    expect(await phone.send('health_data', { n: 4 }, 4)).toMatchObject({ outcome: 'applied' });
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
