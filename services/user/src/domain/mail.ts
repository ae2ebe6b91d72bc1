import type { Notice } from './notice.ts';

/** Languages that mails are written in. */
export const mailLanguages = ['en', 'zh'] as const;

/** One of `mailLanguages`. */
export type MailLanguage = (typeof mailLanguages)[number];

/** What a mail says. */
export interface MailText {
  readonly subject: string;
  /** Plain text. No links: a mail about security that teaches to follow links helps whoever imitates it. */
  readonly text: string;
}

/** What mails are about. */
export type MailKind = Notice['kind'] | 'invitation';

/** What there is to say: when, and the facts of its kind. */
export interface MailSubject {
  readonly kind: MailKind;
  readonly timeMs: number;
  readonly data: Readonly<Record<string, string | number>>;
}

/** What a template may use: everything else stays where it is. */
interface Facts {
  /** Empty for one that would make a mail an advertisement. */
  readonly name: string;
  /** When it happened, in the person's language and time zone. */
  readonly time: string;
  /** Where they signed in: `web`, `ios` … */
  readonly platform: string;
  /** Of an invitation: who made it and to which space, empty like `name`; as what; the code, where one is needed. */
  readonly inviter: string;
  readonly title: string;
  readonly role: string;
  readonly code: string;
}

type Template = (facts: Facts) => MailText;

/** To add a language: one more column, and its name in `mailLanguages`. */
const templates: Readonly<Record<MailKind, Readonly<Record<MailLanguage, Template>>>> = {
  welcome: {
    // Nobody has shown yet that the address is theirs: what a stranger wrote as their name is not sent there.
    en: () => ({
      subject: 'Welcome to Skein',
      text: `Hello,

your account is ready. Sign in on any device or chat platform: your session, settings and history come along.

If it was not you who made this account, you need not do anything: nobody can use it without your password.
`,
    }),
    zh: () => ({
      subject: '欢迎使用 Skein',
      text: `您好：

您的账户已经可以使用。在任何设备或聊天平台上登录，您的会话、设置和历史记录都会随之同步。

如果这个账户不是您注册的，您无需进行任何操作：没有您的密码，任何人都无法使用它。
`,
    }),
  },
  unusual_login: {
    en: ({ name, time, platform }) => ({
      subject: 'New sign-in to your Skein account',
      text: `Hello${name && ` ${name}`},

somebody signed in to your account from a place it had not been used at before.

  When      ${time}
  Platform  ${platform}

If it was you, there is nothing to do. If not, open Skein as you always do, remove this device in your list of devices
and change your password.
`,
    }),
    zh: ({ name, time, platform }) => ({
      subject: '您的 Skein 账户有新的登录',
      text: `${name && `${name}，`}您好：

有人在一个从未使用过的地点登录了您的账户。

  时间  ${time}
  平台  ${platform}

如果是您本人，无需进行任何操作。如果不是，请像平时一样打开 Skein，在设备列表中移除该设备，并修改您的密码。
`,
    }),
  },
  invitation: {
    en: ({ name, time, inviter, title, role, code }) => ({
      subject: 'You are invited to a space in Skein',
      text: `Hello${name && ` ${name}`},

${inviter || 'somebody'} invites you to ${title ? `the space “${title}”` : 'a space'}, as ${role}.

${
  code
    ? `Open Skein, sign in or register with this address, and join the space with the code

  ${code}`
    : 'Open Skein as you always do and look at your invitations: you accept or decline it there.'
}

It is good until ${time}. If you do not want to come, you need not do anything.
`,
    }),
    zh: ({ name, time, inviter, title, role, code }) => ({
      subject: '您被邀请加入 Skein 中的一个空间',
      text: `${name && `${name}，`}您好：

${inviter || '有人'}邀请您以${role}的身份加入${title ? `空间“${title}”` : '一个空间'}。

${
  code
    ? `请打开 Skein，用此邮箱地址登录或注册，并使用以下代码加入该空间：

  ${code}`
    : '请像平时一样打开 Skein，查看您的邀请，在那里接受或拒绝。'
}

邀请在 ${time} 之前有效。如果您不想加入，无需进行任何操作。
`,
    }),
  },
};

/** Roles in words. */
const roles: Readonly<Record<string, Readonly<Record<MailLanguage, string>>>> = {
  owner: { en: 'an owner', zh: '所有者' },
  editor: { en: 'an editor', zh: '编辑者' },
  viewer: { en: 'a viewer', zh: '查看者' },
};

/** Longest words of others in a mail: it is no place for messages. */
const maxOfOthers = 60;

/**
 * What makes a way to somewhere, once characters that only look different are the same: `。` is a dot in names of hosts.
 * What is not to be seen, ends a line or turns the direction of writing makes a text look like another one.
 */
const misleading = /[/.:@。\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|www/iu;

/** What a person has named something, as far as it cannot be taken for an advertisement or a way to somewhere. */
const plain = (text: string): string => {
  const known = text.normalize('NFKC');
  return known.length > maxOfOthers || misleading.test(known) ? '' : known;
};

/** The language of a BCP 47 locale, or the given one when mails are not written in it or it is not known. */
export const mailLanguageOf = (locale: string, otherwise: MailLanguage): MailLanguage =>
  mailLanguages.find((language) => locale === language || locale.startsWith(`${language}-`)) ?? otherwise;

const timeText = (timeMs: number, language: MailLanguage, timezone: string): string =>
  new Intl.DateTimeFormat(language === 'zh' ? 'zh-CN' : 'en-GB', {
    dateStyle: 'long',
    timeStyle: 'long',
    timeZone: timezone || 'UTC',
  }).format(timeMs);

/** A mail as a person reads it. */
export const mailOf = (
  { kind, timeMs, data }: MailSubject,
  { displayName, timezone }: { readonly displayName: string; readonly timezone: string },
  language: MailLanguage,
): MailText =>
  templates[kind][language]({
    name: plain(displayName),
    time: timeText(timeMs, language, timezone),
    platform: String(data['platform'] ?? ''),
    inviter: plain(String(data['inviter'] ?? '')),
    title: plain(String(data['title'] ?? '')),
    role: roles[String(data['role'])]?.[language] ?? '',
    code: String(data['code'] ?? ''),
  });
