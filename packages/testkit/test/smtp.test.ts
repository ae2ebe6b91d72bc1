import nodemailer from 'nodemailer';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startSmtp } from '../src/index.ts';

const started = async (options: Parameters<typeof startSmtp>[0] = {}) => {
  const smtp = await startSmtp(options);
  onTestFinished(() => smtp.kill());
  return smtp;
};
const mail = { from: 'skein@example.org', to: 'ada@example.org', subject: '欢迎', text: '你好' };

describe('the mail server for tests', () => {
  it('keeps what it accepts, decoded', async () => {
    const smtp = await started();
    await nodemailer.createTransport(smtp.url).sendMail(mail);
    await expect
      .poll(() => smtp.mails)
      .toMatchObject([
        {
          to: ['ada@example.org'],
          from: 'skein@example.org',
          subject: '欢迎',
          text: expect.stringContaining('你好'),
        },
      ]);
  });

  it('turns recipients away as it is told', async () => {
    const smtp = await started();
    smtp.answer(550);
    const transport = nodemailer.createTransport(smtp.url);
    await expect
      .poll(() => transport.sendMail(mail).catch((error: { responseCode?: number }) => error.responseCode))
      .toBe(550);
    expect(smtp.refused).toContain('ada@example.org');
  });

  it('lets in only who knows the password, and comes back where it was', async () => {
    const login = { user: 'skein', password: 'p@ss:word' };
    const first = await started({ login });
    const wrong = first.url.replace('word', 'wrong');
    await expect(nodemailer.createTransport(wrong).sendMail(mail)).rejects.toMatchObject({ code: 'EAUTH' });
    await first.kill();
    const second = await started({ login, port: first.port });
    await nodemailer.createTransport(first.url).sendMail(mail);
    await expect.poll(() => second.mails).toHaveLength(1);
  });
});
