import { startSmtp } from '@skein/testkit';
import { describe, expect, it, onTestFinished } from 'vitest';
import { smtpMailer } from '../src/adapters/smtp-mailer.ts';
import { readMailUrl } from '../src/domain/mail-url.ts';

const mail = {
  ...{ id: 'event-1', subject: 'Hello', text: 'Hello Ada' },
  to: 'ada@example.org',
};
const mailerAt = (url: string) => smtpMailer({ server: readMailUrl(url), from: 'skein@example.org' });
const login = { user: 'skein', password: 'p@ss:s3cret' };

const started = async () => {
  const smtp = await startSmtp({ login });
  onTestFinished(() => smtp.kill());
  return smtp;
};

describe('the mailer', () => {
  it('signs in, and sends to one address, without a name', async () => {
    const smtp = await started();
    expect(await mailerAt(smtp.url).send(mail)).toEqual({ outcome: 'sent' });
    await expect.poll(() => smtp.mails).toHaveLength(1);
    expect(smtp.mails[0]).toMatchObject({ to: ['ada@example.org'], subject: 'Hello' });
    expect(smtp.mails[0]?.headers).toMatchObject({ to: 'ada@example.org' });
    const listed = 'ada@example.org, eve@example.org';
    await mailerAt(smtp.url).send({ ...mail, to: listed });
    expect(smtp.mails.flatMap(({ to }) => to)).not.toContain('eve@example.org');
  });

  it('tells what went wrong without a password or an address, and that it may be mended', async () => {
    const smtp = await started();
    const wrong = mailerAt(smtp.url.replace('s3cret', 'wr0ng'));
    expect(await wrong.send(mail)).toEqual({
      outcome: 'refused',
      final: false,
      why: 'the mail server answered 535 (EAUTH)',
    });
    await smtp.kill();
    expect(await mailerAt(smtp.url).send(mail)).toEqual({
      outcome: 'refused',
      final: false,
      why: expect.stringMatching(/^the mail server cannot be reached \([A-Z]+\)$/),
    });
  });
});
