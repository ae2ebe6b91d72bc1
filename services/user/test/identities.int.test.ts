import { randomUUID } from 'node:crypto';
import { identityV1 } from '@skein/contracts';
import { type CallContext, rootContext } from '@skein/rpc';
import { expect, it } from 'vitest';
import { startUser } from './fixture.ts';

const bot = (): CallContext =>
  rootContext({ actor: { userId: 'bot', tokenId: 'jti', scopes: ['channel'] }, timeoutMs: 10_000 });
const telegram = (account: string, name = '') => ({ platform: 'telegram', account, name });

const start = async () => {
  const on = await startUser();
  return { ...on, identities: on.clientOf(identityV1.IdentityServiceService) };
};

it('links an account by a code of its person, once, and tells others of it', async () => {
  const { identities, person, bus } = await start();
  const heard: unknown[] = [];
  const part = bus.subscribe({
    consumer: 'test',
    types: ['identity.linked', 'identity.unlinked'],
    handle: async ({ type, subject, data }) => void heard.push([type, subject, data]),
  });
  await part.run();
  try {
    const ada = person();
    const { code, expiresInS } = await identities.createLinkCode({}, ada.call());
    expect(expiresInS).toBe(600);
    // As people type.
    const typed = code.toLowerCase().replace('-', ' ');
    const account = telegram('42', 'Ada on Telegram');
    expect(await identities.linkAccount({ code: typed, account }, bot())).toMatchObject({ linked: true });
    expect((await identities.listIdentities({}, ada.call())).items).toMatchObject([{ account }]);
    await expect(identities.linkAccount({ code, account }, bot())).rejects.toMatchObject({
      code: 'not_found',
    });
    await identities.unlinkIdentity({ platform: 'telegram' }, ada.call());
    await expect(identities.unlinkIdentity({ platform: 'telegram' }, ada.call())).rejects.toMatchObject({
      code: 'not_found',
    });
    expect((await identities.listIdentities({}, ada.call())).items).toEqual([]);
    const facts = { userId: ada.id, platform: 'telegram', at: expect.any(Number) };
    await expect
      .poll(() => heard, { timeout: 20_000 })
      .toEqual([
        ['identity.linked', ada.id, facts],
        ['identity.unlinked', ada.id, facts],
      ]);
  } finally {
    await part.stop();
  }
});

it('links an account by a code of its channel', async () => {
  const { identities, person } = await start();
  const ada = person();
  const { code } = await identities.createAccountCode({ account: telegram('7') }, bot());
  expect(await identities.linkByCode({ code }, ada.call())).toMatchObject({ linked: true });
  expect((await identities.listIdentities({}, ada.call())).items).toMatchObject([{ account: telegram('7') }]);
});

it('gives an account to one person, and a person one account a platform; the code stays good', async () => {
  const { identities, person } = await start();
  const [ada, bob] = [person(), person()];
  const codeOf = async ({ call }: typeof ada) => (await identities.createLinkCode({}, call())).code;
  await identities.linkAccount({ code: await codeOf(ada), account: telegram('42') }, bot());
  const code = await codeOf(bob);
  await expect(identities.linkAccount({ code, account: telegram('42') }, bot())).rejects.toMatchObject({
    code: 'identity_taken',
  });
  await expect(
    identities.linkAccount({ code: await codeOf(ada), account: telegram('43') }, bot()),
  ).rejects.toMatchObject({ code: 'identity_taken' });
  await identities.unlinkIdentity({ platform: 'telegram' }, ada.call());
  expect(await identities.linkAccount({ code, account: telegram('42') }, bot())).toMatchObject({
    linked: true,
  });
  expect((await identities.listIdentities({}, bob.call())).items).toHaveLength(1);
});

it('refuses codes that are none, or of the same side, and whoever is no channel', async () => {
  const { identities, person, database } = await start();
  const ada = person();
  const { code } = await identities.createLinkCode({}, ada.call());
  for (const wrong of ['', 'AAAAA-AAAAA', 'x'.repeat(100), '\u0000'])
    await expect(identities.linkByCode({ code: wrong }, ada.call())).rejects.toMatchObject({
      code: 'not_found',
    });
  await expect(identities.linkByCode({ code }, ada.call())).rejects.toMatchObject({ code: 'not_found' });
  await expect(identities.linkAccount({ code, account: telegram('42') }, ada.call())).rejects.toMatchObject({
    code: 'forbidden',
  });
  await expect(
    identities.linkAccount({ code, account: { platform: 'Tele gram', account: '', name: '\n' } }, bot()),
  ).rejects.toMatchObject({
    code: 'invalid_request',
    errors: [{ path: 'platform' }, { path: 'account' }, { path: 'name' }],
  });
  await database.query(`update "user".link_code set expires_at = now() - interval '1 second'`);
  await expect(identities.linkAccount({ code, account: telegram('42') }, bot())).rejects.toMatchObject({
    code: 'not_found',
  });
});

it('is the same request under the same key', async () => {
  const { identities, person } = await start();
  const { code } = await identities.createLinkCode({}, person().call());
  const key = randomUUID();
  const link = () =>
    identities.linkAccount({ code, account: telegram('42') }, { ...bot(), idempotencyKey: key });
  const first = await link();
  expect(await link()).toEqual(first);
});
