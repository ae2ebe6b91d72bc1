import { platformConfig } from '@skein/platform';
import { type ConfigOf, live, oneOf, text, url } from '@skein/service-kit';
import { mailLanguages } from './domain/mail.ts';
import { readMailUrl } from './domain/mail-url.ts';

const mailUrl = url('The mail server, smtp://[user:password@]host[:port] or smtps://…; empty: no mails', {
  schemes: ['smtp:', 'smtps:'],
  fallback: '',
});

const sender = (given: string): string => {
  if (/^[^\s@<>]+@[^\s@<>]+$/.test(given) || /^[^<>\p{Cc}]+ <[^\s@<>]+@[^\s@<>]+>$/u.test(given))
    return given;
  throw new TypeError('must be an address, or a name and an address: Skein <skein@example.org>');
};

const mailFrom = text('Who mails are from, such as Skein <skein@example.org>; needed with MAIL_URL', {
  fallback: '',
});

/** The settings of user: those of every service, and how to reach people by mail. */
export const userConfig = {
  ...platformConfig,
  MAIL_URL: {
    ...mailUrl,
    parse: (given: string) => {
      readMailUrl(mailUrl.parse(given));
      return given;
    },
  },
  MAIL_FROM: { ...mailFrom, parse: sender },
  MAIL_LANGUAGE: live(
    oneOf('Language of mails to people who have not chosen one', {
      values: mailLanguages,
      fallback: 'en',
    }),
  ),
};

/** The values of `userConfig`. */
export type UserConfig = ConfigOf<typeof userConfig>;
