import type { DomainEvent } from '@skein/contracts';
import { type MailLanguage, mailLanguageOf, mailOf } from '../domain/mail.ts';
import { noticeOf } from '../domain/notice.ts';
import type { Profile } from '../domain/profile.ts';
import type { Mail } from './ports.ts';

/** An invitation to a space, as its service tells it while it can be used. */
export interface Invitation {
  /** Whom it is for; empty: whoever has an account of the address. */
  readonly userId: string;
  readonly email: string;
  readonly role: string;
  /** Of the space. */
  readonly title: string;
  readonly code: string;
  readonly createdBy: string;
  readonly expiresAtMs: number;
}

/** What letters are made of; both reject with `not_found` for what is not there any more. */
export interface LetterParts {
  readonly profileOf: (userId: string) => Promise<Profile>;
  readonly invitationOf: (id: string) => Promise<Invitation>;
  readonly language: () => MailLanguage;
}

const isInvitation = (event: DomainEvent): event is DomainEvent<'member.invited'> =>
  event.type === 'member.invited';

/** Whether an event asks for a letter, and about whom as far as the event says. */
export const asksForLetter = (event: DomainEvent): { readonly userId: string | null } | undefined =>
  isInvitation(event) ? { userId: null } : noticeOf(event);

/**
 * The letter an event asks for, with address and words as they are now; undefined for most events. An address without
 * a person gets the language of the deployment: whether there is an account of it is not looked up.
 */
export const letterOf =
  ({ profileOf, invitationOf, language }: LetterParts) =>
  async (event: DomainEvent): Promise<Omit<Mail, 'id'> | undefined> => {
    const toPerson = (profile: Profile, subject: Parameters<typeof mailOf>[0]) => ({
      ...mailOf(subject, profile, mailLanguageOf(profile.locale, language())),
      to: profile.email,
    });
    if (isInvitation(event)) {
      const { userId, email, role, title, code, createdBy, expiresAtMs } = await invitationOf(
        event.data.invitationId,
      );
      const { displayName: inviter } = await profileOf(createdBy);
      const about = { kind: 'invitation', timeMs: expiresAtMs, data: { role, title, inviter } } as const;
      if (userId !== '') return toPerson(await profileOf(userId), about);
      if (email === '') return undefined;
      const nobody = { displayName: '', timezone: '' };
      return {
        ...mailOf({ ...about, data: { ...about.data, code } }, nobody, language()),
        to: email,
      };
    }
    const notice = noticeOf(event);
    return notice && toPerson(await profileOf(notice.userId), notice);
  };
