import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { personalSpaceId } from '../src/app/personal-space.ts';
import { actingFor, type Running, startOnNewDatabase } from './harness.ts';

const [victim, attacker] = [actingFor('victim', 60_000), actingFor('attacker', 60_000)];
let sync: Running;
let spaces: string[];

/** Somebody makes as many spaces as one may, and adds somebody else to them. */
beforeAll(async () => {
  sync = await startOnNewDatabase();
  await sync.gateway.openSession({ device: { id: 'd', platform: 'web', name: '' } }, victim);
  spaces = await Promise.all(
    Array.from({ length: 100 }, async (_, n) => {
      const { space } = await sync.gateway.createSpace({ title: 't', idempotencyKey: `k${n}` }, attacker);
      return space?.id ?? '';
    }),
  );
  for (const space of spaces.slice(0, 99)) await join(space);
});
afterAll(() => sync.stop());

const put = (space: string | undefined, role = 'viewer') =>
  sync.gateway.putMember({ space: space ?? '', userId: 'victim', role }, attacker);

const join = async (space = '') => {
  const wanted = { space, role: 'viewer', email: '', expiresInHours: 0 };
  const { invitation } = await sync.gateway.createInvitation(wanted, attacker);
  await sync.gateway.acceptInvitation({ code: invitation?.code ?? '', email: '' }, victim);
};

describe('a person whom somebody invites to space after space', () => {
  it('finds the own space first, in the session and in every list', async () => {
    const own = personalSpaceId('victim');
    const opened = await sync.gateway.openSession({ device: { id: 'd', platform: 'web', name: '' } }, victim);
    expect(opened.spaces).toHaveLength(100);
    expect(opened.spaces[0]).toMatchObject({ id: own, kind: 'personal' });
    const ids: string[] = [];
    let cursor = '';
    do {
      const page = await sync.gateway.listSpaces({ limit: 7, cursor }, victim);
      ids.push(...page.items.map(({ id }) => id));
      cursor = page.next;
    } while (cursor !== '');
    expect(ids).toEqual([own, ...spaces.slice(0, 99).toSorted()]);
  });

  it('comes into no more of them than a connection follows, and into others after leaving one', async () => {
    await expect(join(spaces[99])).rejects.toMatchObject({ code: 'forbidden' });
    // Where the person is already, the role may change.
    expect(await put(spaces[0], 'editor')).toMatchObject({ member: { role: 'editor' } });
    await sync.gateway.removeMember({ space: spaces[1] ?? '', userId: 'victim' }, victim);
    await join(spaces[99]);
    // Nobody keeps the person from making own ones.
    await sync.gateway.createSpace({ title: 'mine', idempotencyKey: '' }, victim);
  });
});

it('makes no more spaces for one person than there may be; the request for one there is still finds it', async () => {
  const make = (key: string) =>
    sync.gateway.createSpace({ title: 't', idempotencyKey: key }, actingFor('attacker'));
  await expect(make('one more')).rejects.toMatchObject({ code: 'forbidden' });
  expect((await make('k0')).space?.id).toBe(spaces[0]);
});
