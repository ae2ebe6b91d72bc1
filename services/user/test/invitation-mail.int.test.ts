import { AppError, type syncV1 } from '@skein/contracts';
import { type SmtpProcess, startSmtp } from '@skein/testkit';
import { describe, expect, it, onTestFinished } from 'vitest';
import { invitationEvent, startUser } from './fixture.ts';

const waitMs = 20_000;
const from = 'Skein <skein@example.org>';
const code = 'q1W2e3R4t5Y6u7I8o9P0aZ';

const smtp = async (options: Parameters<typeof startSmtp>[0] = {}): Promise<SmtpProcess> => {
  const server = await startSmtp(options);
  onTestFinished(() => server.kill());
  return server;
};

const invited = (more: Partial<syncV1.Invitation>): syncV1.ReceivedInvitation => ({
  ...{ space: 'space-1', title: 'Our plans' },
  invitation: {
    ...{ id: 'i1', role: 'editor', email: '', userId: '', code, createdBy: '' },
    ...{ createdAtMs: Date.now(), expiresAtMs: Date.UTC(2026, 0, 31, 12), ...more },
  },
});

describe('an invitation to a space', () => {
  it('is mailed to its address with the code, once, although the event comes twice', async () => {
    const server = await smtp();
    const { bus, database, invitations, person } = await startUser({ MAIL_URL: server.url, MAIL_FROM: from });
    const event = invitationEvent('i1');
    invitations.set('i1', invited({ email: 'friend@example.net', createdBy: person().id }));
    await bus.publish([event]);
    await expect.poll(() => server.mails, { timeout: waitMs }).toHaveLength(1);
    // Straight into the bus, past the memory by which `publish` would drop it; then something to see the end by.
    await database.query(`insert into skein_bus.event (event_id, type, event) values ('again', $1, $2)`, [
      event.type,
      JSON.stringify(event),
    ]);
    invitations.set('i2', invited({ email: 'other@example.net', createdBy: person().id }));
    await bus.publish([invitationEvent('i2')]);
    await expect.poll(() => server.mails.at(-1)?.to, { timeout: waitMs }).toEqual(['other@example.net']);
    expect(server.mails).toHaveLength(2);
    expect(server.mails[0]).toMatchObject({
      to: ['friend@example.net'],
      from: 'skein@example.org',
      subject: 'You are invited to a space in Skein',
      text: expect.stringMatching(/Ada invites you to the space “Our plans”, as an editor/),
      messageId: `<${event.id}@example.org>`,
    });
    expect(server.mails[0]?.text).toContain(code);
  });

  it('for a person is mailed to their address, in their language and time zone, and without a code', async () => {
    const server = await smtp();
    const { bus, client, invitations, person } = await startUser({ MAIL_URL: server.url, MAIL_FROM: from });
    const [ada, bob] = [person(), person()];
    await client.updateProfile({ locale: 'zh-Hans-CN', timezone: 'Asia/Shanghai' }, ada.call());
    invitations.set('i1', invited({ userId: ada.id, createdBy: bob.id, role: 'owner' }));
    await bus.publish([invitationEvent('i1')]);
    await expect.poll(() => server.mails, { timeout: waitMs }).toHaveLength(1);
    expect(server.mails[0]).toMatchObject({
      to: [ada.account.email],
      subject: '您被邀请加入 Skein 中的一个空间',
      text: expect.stringMatching(/所有者.*“Our plans”[\s\S]*2026年1月31日.*20:00:00/),
    });
    expect(server.mails[0]?.text).not.toContain(code);
    // What somebody calls themselves is no proof that the address is theirs.
    expect(server.mails[0]?.headers).toMatchObject({ to: ada.account.email });
  });

  it('waits for the services that know it, and is not mailed when it was taken back meanwhile', async () => {
    const server = await smtp();
    const { bus, database, invitations, person } = await startUser(
      { MAIL_URL: server.url, MAIL_FROM: from },
      { mailBackoffMs: Array(200).fill(50) },
    );
    for (const id of ['gone', 'i1']) invitations.set(id, new AppError('unavailable'));
    const ada = person();
    await bus.publish([invitationEvent('gone'), invitationEvent('i1')]);
    const waiting = () =>
      database.query<{ text: string; attempts: number }>(
        'select m::text as text, attempts from "user".mail m',
      );
    await expect
      .poll(async () => (await waiting()).filter(({ attempts }) => attempts > 1), { timeout: waitMs })
      .toHaveLength(2);
    // The queue has ids only.
    expect(JSON.stringify(await waiting())).not.toMatch(/example|q1W2/);
    invitations.delete('gone');
    invitations.set('i1', invited({ userId: ada.id, createdBy: ada.id }));
    await expect
      .poll(() => server.mails.map(({ to }) => to), { timeout: waitMs })
      .toEqual([[ada.account.email]]);
    await expect.poll(waiting, { timeout: waitMs }).toEqual([]);
  });

  it('that cannot be mailed is a dead letter without address and code', async () => {
    const server = await smtp();
    const { bus, database, invitations, person } = await startUser({ MAIL_URL: server.url, MAIL_FROM: from });
    server.answer(550);
    invitations.set('i1', invited({ email: 'nobody@example.net', createdBy: person().id }));
    await bus.publish([invitationEvent('i1')]);
    const letters = () => database.query('select l::text as text from "user".dead_letter l');
    await expect.poll(letters, { timeout: waitMs }).toHaveLength(1);
    expect(JSON.stringify(await letters())).not.toMatch(/nobody@|q1W2/);
  });
});
