import { readConfig } from '@skein/service-kit';
import { describe, expect, it } from 'vitest';
import { mailLanguageOf, mailLanguages, mailOf } from '../src/domain/mail.ts';
import { mustUpgrade, readMailUrl } from '../src/domain/mail-url.ts';
import { userConfig } from '../src/index.ts';

describe('the words of a mail', () => {
  const ada = { displayName: 'Ada', timezone: '' };
  it.each(mailLanguages)('are there for every kind of notice in %s', (language) => {
    for (const kind of ['welcome', 'unusual_login', 'invitation'] as const) {
      const data = { platform: 'web', role: 'editor', inviter: 'Bob', title: 'Plans' };
      const { subject, text } = mailOf({ kind, timeMs: 0, data }, ada, language);
      expect(subject).not.toBe('');
      expect(text).not.toMatch(/https?:|undefined/);
    }
  });

  it.each(mailLanguages)('have no name in the welcome in %s: its address may be a stranger’s', (language) => {
    const text = (kind: 'welcome' | 'unusual_login') =>
      mailOf({ kind, timeMs: 0, data: { platform: 'web' } }, ada, language).text;
    expect(text('welcome')).not.toContain('Ada');
    expect(text('unusual_login')).toContain('Ada');
  });

  it.each(mailLanguages)('have no name in %s that says where to go', (language) => {
    for (const displayName of ['win at evil.example', 'see https://x', 'WWW evil', 'ada@evil']) {
      const one = mailOf(
        { kind: 'unusual_login', timeMs: 0, data: {} },
        { displayName, timezone: '' },
        language,
      );
      expect(one.text).not.toContain(displayName);
      expect(one.text).toMatch(/^(Hello,|您好：)\n/);
    }
  });

  it.each(mailLanguages)('of an invitation in %s are no place for what strangers have to say', (language) => {
    const invited = (inviter: string, title: string) =>
      mailOf(
        { kind: 'invitation', timeMs: 0, data: { inviter, title, role: 'viewer', code: 'the-code' } },
        { displayName: '', timezone: '' },
        language,
      );
    const { text } = invited('Bob', 'Our plans');
    for (const part of ['Bob', 'Our plans', 'the-code']) expect(text).toContain(part);
    for (const words of [
      ...['win at evil.example', 'a\nb', 'x'.repeat(61), 'call:now'],
      // The same in other characters, and what is not to be seen.
      ...[
        'win at evil．example',
        'evil。example',
        'evil｡example',
        'evil․example',
        'ｗｗｗ evil',
        'ada＠evil',
        'call：now',
      ],
      ...[
        'a\u2028b',
        'a\u2029b',
        'nib\u202ela',
        'a\u2066b',
        'a\u200bb',
        'a\u200db',
        'a\ufeffb',
        'a\u00adb',
        'ﷺ'.repeat(4),
      ],
    ]) {
      const { subject, text } = invited(words, words);
      expect(subject + text).not.toContain(words);
      expect(text).toContain('the-code');
      expect(text).not.toMatch(/undefined|“”/);
      expect(text).not.toContain(words.normalize('NFKC'));
    }
  });

  it.each(mailLanguages)('keep names in %s as they are written in many places', (language) => {
    for (const inviter of ['Ada Lovelace', '王小明', 'Zoë O’Neil-Şahin', 'أحمد']) {
      const subject = { kind: 'invitation', timeMs: 0, data: { inviter, role: 'viewer' } } as const;
      expect(mailOf(subject, { displayName: '', timezone: '' }, language).text).toContain(inviter);
    }
  });

  it('are in the language of the locale, or in the one of the deployment', () => {
    expect(mailLanguageOf('zh-Hant-TW', 'en')).toBe('zh');
    expect(mailLanguageOf('zhx', 'en')).toBe('en');
    expect(mailLanguageOf('', 'zh')).toBe('zh');
    expect(mailLanguageOf('de', 'zh')).toBe('zh');
  });
});

describe('MAIL_URL', () => {
  it('names server, port and login', () => {
    expect(readMailUrl('smtp://mail.example.org')).toEqual({
      ...{ host: 'mail.example.org', port: 587, tls: false, login: undefined },
    });
    expect(readMailUrl('smtps://skein:p%40ss@mail.example.org:80')).toEqual({
      ...{ host: 'mail.example.org', port: 80, tls: true },
      login: { user: 'skein', password: 'p@ss' },
    });
    expect(readMailUrl('smtps://[::1]/')).toMatchObject({ host: '[::1]', port: 465 });
  });

  it('sends a password only below TLS, but on this machine', () => {
    expect(mustUpgrade(readMailUrl('smtp://a:b@mail.example.org'))).toBe(true);
    expect(mustUpgrade(readMailUrl('smtps://a:b@mail.example.org'))).toBe(false);
    expect(mustUpgrade(readMailUrl('smtp://a:b@127.0.0.1'))).toBe(false);
    expect(mustUpgrade(readMailUrl('smtp://mail.example.org'))).toBe(false);
  });

  it.each([
    ['MAIL_URL', 'http://mail', /smtp: or smtps:/],
    ['MAIL_URL', 'smtp://', /smtp:\/\/host:port/],
    ['MAIL_URL', 'smtp://a:s3cret@mail:99999', /smtp:\/\/host:port/],
    ['MAIL_URL', 'smtp://user@mail', /a user and a password, or neither/],
    ['MAIL_URL', 'smtp://mail/path', /end with the host or the port/],
    ['MAIL_FROM', 'nobody', /must be an address/],
    ['MAIL_FROM', 'A <a@b>\r\nBcc: c@d', /must be an address/],
    ['MAIL_LANGUAGE', 'tlh', /en, zh/],
  ])('or its like is refused with a sentence: %s=%s', (name, value, sentence) => {
    const read = () =>
      readConfig(userConfig, {
        ...{ DATABASE_URL: 'postgres://db/x', DISCOVERY_URL: 'static:auth=127.0.0.1:1' },
        ...{ INTERNAL_SECRET: 'i'.repeat(32), [name]: value },
      });
    expect(read).toThrow(sentence);
    expect(read).not.toThrow(/s3cret/);
  });
});
