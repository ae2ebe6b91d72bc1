import { rootContext } from '@skein/rpc';
import { type SmtpProcess, startSmtp } from '@skein/testkit';
import { describe, expect, it, onTestFinished } from 'vitest';
import { loginEvent, noticesOf, registration, startUser } from './fixture.ts';

const waitMs = 20_000;
const from = 'Skein <skein@example.org>';

const smtp = async (options: Parameters<typeof startSmtp>[0] = {}): Promise<SmtpProcess> => {
  const server = await startSmtp(options);
  onTestFinished(() => server.kill());
  return server;
};

const operator = () =>
  rootContext({ actor: { userId: 'operator-1', scopes: ['operator'] }, timeoutMs: 10_000 });
const by = { reason: 'the mail server is mended' };

describe('mails', () => {
  it('welcome a person, in the language of the deployment until they choose one', async () => {
    const server = await smtp();
    const { bus, person } = await startUser({ MAIL_URL: server.url, MAIL_FROM: from, MAIL_LANGUAGE: 'zh' });
    const ada = person();
    const event = registration(ada.id);
    await bus.publish([event]);
    await expect.poll(() => server.mails, { timeout: waitMs }).toHaveLength(1);
    expect(server.mails[0]).toMatchObject({
      to: [ada.account.email],
      from: 'skein@example.org',
      subject: '欢迎使用 Skein',
      text: expect.stringMatching(/^您好/),
      messageId: `<${event.id}@example.org>`,
      headers: { 'auto-submitted': 'auto-generated' },
    });
  });

  it('are in another language as soon as the config centre says so', async () => {
    const server = await smtp();
    const { bus, person, change } = await startUser({ MAIL_URL: server.url, MAIL_FROM: from });
    await bus.publish([registration(person().id)]);
    await expect.poll(() => server.mails, { timeout: waitMs }).toHaveLength(1);
    expect(change({ MAIL_LANGUAGE: 'zh' })).toEqual(['MAIL_LANGUAGE']);
    await bus.publish([registration(person().id)]);
    await expect.poll(() => server.mails, { timeout: waitMs }).toHaveLength(2);
    expect(server.mails.map(({ subject }) => subject)).toEqual(['Welcome to Skein', '欢迎使用 Skein']);
  });

  it('tell of an unusual login in the language and time zone of the person, and of no other', async () => {
    const server = await smtp();
    const { bus, client, person } = await startUser({ MAIL_URL: server.url, MAIL_FROM: from });
    const ada = person();
    await client.updateProfile({ locale: 'zh-Hans-CN', timezone: 'Asia/Shanghai' }, ada.call());
    const at = Date.UTC(2026, 0, 31, 12);
    await bus.publish([
      loginEvent(ada.id, { at }),
      loginEvent(ada.id, { at, unusual: true, platform: 'ios' }),
    ]);
    await expect.poll(() => server.mails, { timeout: waitMs }).toHaveLength(1);
    expect(server.mails[0]).toMatchObject({
      subject: '您的 Skein 账户有新的登录',
      text: expect.stringMatching(/2026年1月31日.*20:00:00[\s\S]*ios/),
    });
  });

  it('come when the server is back, and hold up nothing meanwhile', async () => {
    const server = await smtp();
    const { bus, client, person } = await startUser(
      { MAIL_URL: server.url, MAIL_FROM: from },
      { mailBackoffMs: Array(200).fill(50) },
    );
    await server.kill();
    const [ada, bob] = [person(), person()];
    await bus.publish([registration(ada.id), registration(bob.id)]);
    await expect.poll(async () => (await noticesOf(client, bob)).length, { timeout: waitMs }).toBe(1);
    const back = await smtp({ port: server.port });
    await expect
      .poll(() => back.mails.map(({ to }) => to[0]).sort(), { timeout: waitMs })
      .toEqual([ada.account.email, bob.account.email].sort());
  });

  it('are given up after so many attempts, and sent when an operator says so', async () => {
    const server = await smtp();
    const { bus, events, person } = await startUser(
      { MAIL_URL: server.url, MAIL_FROM: from },
      { mailBackoffMs: [10, 10] },
    );
    server.answer(451);
    const ada = person();
    const event = registration(ada.id);
    await bus.publish([event]);
    const letters = async () => (await events.listDeadLetters({ limit: 0, cursor: '' }, operator())).items;
    await expect.poll(letters, { timeout: waitMs }).toMatchObject([
      {
        ...{ consumer: 'user-mail', eventId: event.id, type: 'user.registered', attempts: 3 },
        // No address: it is shown and logged.
        error: 'the mail server answered 451 (EENVELOPE)',
      },
    ]);
    expect(server.refused).toHaveLength(3);
    server.answer(250);
    const letter = { consumer: 'user-mail', eventId: event.id };
    expect(await events.retryDeadLetter({ ...letter, ...by }, operator())).toEqual({
      outcome: 'done',
      error: '',
    });
    await expect.poll(() => server.mails, { timeout: waitMs }).toHaveLength(1);
    expect(await letters()).toEqual([]);
  }, 60_000);

  it('that the server refuses for good are not tried again', async () => {
    const server = await smtp();
    const { bus, events, database, person } = await startUser({ MAIL_URL: server.url, MAIL_FROM: from });
    server.answer(550);
    await bus.publish([registration(person().id)]);
    const letters = async () => (await events.listDeadLetters({ limit: 0, cursor: '' }, operator())).items;
    await expect.poll(letters, { timeout: waitMs }).toMatchObject([{ attempts: 1 }]);
    expect(server.refused).toHaveLength(1);
    expect(await database.query('select 1 from "user".mail')).toEqual([]);
  });

  it('are not sent to somebody who is gone, nor of what happened more than a day ago', async () => {
    const server = await smtp();
    const { bus, database, person } = await startUser({ MAIL_URL: server.url, MAIL_FROM: from });
    const old = { ...registration(person().id), time: Date.now() - 25 * 3_600_000 };
    const ada = person();
    await bus.publish([old, registration('nobody'), registration(ada.id)]);
    await expect.poll(() => server.mails, { timeout: waitMs }).toHaveLength(1);
    expect(server.mails[0]?.to).toEqual([ada.account.email]);
    await expect.poll(() => database.query('select 1 from "user".mail'), { timeout: waitMs }).toEqual([]);
  });

  it('are off unless there is a server', async () => {
    const { bus, client, database, person } = await startUser();
    const ada = person();
    await bus.publish([registration(ada.id)]);
    await expect.poll(async () => (await noticesOf(client, ada)).length, { timeout: waitMs }).toBe(1);
    expect(await database.query(`select name from skein_bus.consumer`)).toEqual([{ name: 'user-accounts' }]);
  });
});

describe('operators', () => {
  it('are the only ones to see dead letters, and say why they change one', async () => {
    const { events, person } = await startUser();
    const page = { limit: 0, cursor: '' };
    await expect(events.listDeadLetters(page, person().call())).rejects.toMatchObject({ code: 'forbidden' });
    await expect(events.listDeadLetters(page, rootContext({ timeoutMs: 5_000 }))).rejects.toMatchObject({
      code: 'unauthenticated',
    });
    const letter = { consumer: 'user-mail', eventId: 'none', reason: ' ' };
    await expect(events.dropDeadLetter(letter, operator())).rejects.toMatchObject({
      code: 'invalid_request',
      errors: [{ path: 'reason', message: expect.any(String) }],
    });
  });
});
