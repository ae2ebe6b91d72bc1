import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { classicDevices } from './classic-device.ts';
import { actingFor, type Running, startOnNewDatabase } from './harness.ts';

let sync: Running;
beforeAll(async () => {
  sync = await startOnNewDatabase();
});
afterAll(() => sync.stop());

const { classicDevice, deleteAs } = classicDevices(() => sync);

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
