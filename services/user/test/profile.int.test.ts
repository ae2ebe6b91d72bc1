import { rootContext } from '@skein/rpc';
import { describe, expect, it } from 'vitest';
import { startUser } from './fixture.ts';

describe('a profile', () => {
  it('is made from the account when it is asked for the first time', async () => {
    const { client, person, asked } = await startUser();
    const ada = person();
    const { profile } = await client.getProfile({}, ada.call());
    expect(profile).toEqual({
      userId: ada.id,
      email: ada.account.email,
      displayName: 'Ada',
      locale: '',
      timezone: '',
      createdAtMs: ada.account.createdAtMs,
      lastLoginAtMs: 0,
      lastLoginPlatform: '',
    });
    await client.getProfile({}, ada.call());
    expect(asked).toEqual([ada.id]);
  });

  it('is one, however many ask at once', async () => {
    const { client, person, database } = await startUser();
    const ada = person();
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.getProfile({}, ada.call())));
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(await database.query('select user_id from "user".profiles')).toEqual([{ user_id: ada.id }]);
  });

  it('does not exist without an account, and nobody has one without signing in', async () => {
    const { client } = await startUser();
    const stranger = { userId: 'nobody', scopes: ['session'] };
    await expect(
      client.getProfile({}, rootContext({ actor: stranger, timeoutMs: 5_000 })),
    ).rejects.toMatchObject({ code: 'not_found' });
    await expect(client.getProfile({}, rootContext({ timeoutMs: 5_000 }))).rejects.toMatchObject({
      code: 'unauthenticated',
    });
  });

  it('changes in the fields that are set, and stays as it was in the others', async () => {
    const { client, person } = await startUser();
    const ada = person();
    const { profile } = await client.updateProfile(
      { locale: 'en-gb', timezone: 'europe/berlin' },
      ada.call(),
    );
    expect(profile).toMatchObject({ displayName: 'Ada', locale: 'en-GB', timezone: 'Europe/Berlin' });
    const renamed = await client.updateProfile({ displayName: ' Ada L. ', timezone: '' }, ada.call());
    expect(renamed.profile).toMatchObject({ displayName: 'Ada L.', locale: 'en-GB', timezone: '' });
    expect(await client.getProfile({}, ada.call())).toEqual(renamed);
  });

  it('names every field that is wrong and then changes nothing', async () => {
    const { client, person } = await startUser();
    const ada = person();
    await expect(
      client.updateProfile({ displayName: '', locale: 'no locale', timezone: 'Moon/Base' }, ada.call()),
    ).rejects.toMatchObject({
      code: 'invalid_request',
      errors: ['displayName', 'locale', 'timezone'].map((path) => expect.objectContaining({ path })),
    });
    const { profile } = await client.getProfile({}, ada.call());
    expect(profile).toMatchObject({ displayName: 'Ada', locale: '', timezone: '' });
  });

  it('is not changed back by a request that comes a second time', async () => {
    const { client, person } = await startUser();
    const ada = person();
    const again = ada.call({ idempotencyKey: 'rename-1' });
    await client.updateProfile({ displayName: 'First' }, again);
    await client.updateProfile({ displayName: 'Second' }, ada.call());
    const { profile } = await client.updateProfile({ displayName: 'First' }, again);
    expect(profile?.displayName).toBe('Second');
    await expect(client.updateProfile({ displayName: 'Other' }, again)).rejects.toMatchObject({
      code: 'idempotency_mismatch',
    });
  });
});
