import type { DomainEvent } from '@skein/contracts';
import type { MailText } from '../domain/mail.ts';
import type { Notice } from '../domain/notice.ts';
import type { Profile, ProfileChange } from '../domain/profile.ts';

/** What a use case needs to know of the call it serves. `CallContext` of the rpc package is one. */
export interface Call {
  readonly signal: AbortSignal;
  readonly idempotencyKey?: string | undefined;
}

/** The newest login that is known. */
export interface LastLogin {
  readonly atMs: number;
  readonly platform: string;
}

export interface Profiles {
  byId(userId: string): Promise<Profile | undefined>;
  /** Keeps the one that is there already. */
  add(profile: Profile): Promise<void>;
  change(userId: string, change: ProfileChange): Promise<void>;
}

export interface Logins {
  last(userId: string): Promise<LastLogin | undefined>;
  /** Notes a login unless a newer one is known: events may come late. */
  note(userId: string, login: LastLogin): Promise<void>;
}

/** Where a page of notices ends. */
export interface NoticePosition {
  readonly timeMs: number;
  readonly id: string;
}

export interface Notices {
  /** Keeps it, and forgets the person's oldest beyond two hundred. */
  add(notice: Notice): Promise<void>;
  /** Newest first, those after `before`. */
  list(userId: string, before: NoticePosition | undefined, limit: number): Promise<Notice[]>;
}

/** What is stored, as it is used inside one transaction. */
export interface Repositories {
  readonly profiles: Profiles;
  readonly logins: Logins;
  readonly notices: Notices;
  /** Runs `work` unless this request (its idempotency key) has been served before. */
  once(
    request: { userId: string; method: string; key: string | undefined; body: unknown },
    work: () => Promise<void>,
  ): Promise<void>;
}

/** The repositories, each call on its own, or several in a transaction that commits when `work` returns. */
export interface Store extends Repositories {
  transaction<T>(work: (repositories: Repositories) => Promise<T>, signal?: AbortSignal): Promise<T>;
}

/** Who an account belongs to, as auth knows it. Rejects with `not_found` when there is none. */
export interface Accounts<C> {
  byId(userId: string, call: C): Promise<{ email: string; displayName: string; createdAtMs: number }>;
}

/** A mail to one person. */
export interface Mail extends MailText {
  /** The same for every attempt: receivers recognise a mail that comes twice. */
  readonly id: string;
  /** The address alone: nobody has shown that it is of whoever wrote the name. */
  readonly to: string;
}

/** What became of handing a mail over. */
export type MailOutcome =
  | { readonly outcome: 'sent' }
  /** `final`: the server will never take it. `why` names no address. */
  | { readonly outcome: 'refused'; readonly final: boolean; readonly why: string };

/** Hands mails to a server, within its own time-outs. Never rejects for what the server or the network does. */
export interface Mailer {
  send(mail: Mail): Promise<MailOutcome>;
}

/** A mail that is due: which event asks for it, and the how manieth attempt this is. */
export interface DueMail {
  readonly event: DomainEvent;
  readonly attempt: number;
}

/** Mails that wait. Only ids: addresses and words are looked up when a mail is sent. */
export interface MailQueue {
  /** Takes what is due, at most `limit`. What is not settled in time is due again: a process may die. */
  take(limit: number): Promise<readonly DueMail[]>;
  /** It is sent, or nobody is there to send it to. */
  done(eventId: string): Promise<void>;
  /** Not now: due again after a while. */
  later(eventId: string, delayMs: number): Promise<void>;
  /** Never by itself: the event becomes a dead letter, for an operator to retry or drop. */
  giveUp(mail: DueMail, why: string): Promise<void>;
}

/** Removing what is kept of people. */
export interface Erasures {
  /**
   * Notes that a person is to be erased, and begins it in the same transaction. Whoever asks again gets the same saga,
   * unless that was cancelled, refused or killed: then another one begins.
   */
  begin(asked: AskedErasure, correlationId: string): Promise<{ readonly sagaId: string }>;
  /** Whether that was asked for before. */
  isAsked(userId: string): Promise<boolean>;
  /** From now on nothing new is kept about the person. Again changes nothing. */
  keepNothing(userId: string): Promise<void>;
  /** What there is of the person, but for the saga that asks. Again changes nothing. */
  erasePerson(userId: string, sagaId: string): Promise<void>;
}

/** Who is to be erased, who says so, and why. */
export interface AskedErasure {
  readonly userId: string;
  readonly by: string;
  readonly reason: string;
}

/** An account as its platform knows it. */
export interface PlatformAccount {
  readonly platform: string;
  readonly account: string;
  readonly name: string;
}

/** A linked account. */
export interface Identity extends PlatformAccount {
  readonly linkedAtMs: number;
}

/** A code as it is made: for a person, or for an account. */
export interface NewLinkCode {
  readonly id: string;
  readonly hash: Buffer;
  readonly of: { readonly userId: string } | PlatformAccount;
  readonly lifeMs: number;
}

/** Accounts of people on other platforms, and the codes that link them. */
export interface Identities {
  addCode(code: NewLinkCode): Promise<void>;
  /**
   * Completes a code with the other half and begins to link the two, in one transaction. `not_found` for one that is
   * unknown, used, expired, or made for the same half.
   */
  begin(
    hash: Buffer,
    half: { readonly userId: string } | PlatformAccount,
    call: { readonly correlationId: string; readonly key: string | undefined },
  ): Promise<Linking>;
  /** Uses a code up, once per step; `not_found` when it was used or has expired. */
  useCode(codeId: string, step: string): Promise<void>;
  restoreCode(codeId: string, step: string): Promise<void>;
  /** Keeps the account from others; `identity_taken` when it, or the person's place on the platform, is. */
  reserve(codeId: string, step: string): Promise<void>;
  release(codeId: string, step: string): Promise<void>;
  /** Makes the link and its event. */
  link(codeId: string, step: string, correlationId: string): Promise<void>;
  list(userId: string): Promise<readonly Identity[]>;
  /** False when there was none. */
  unlink(userId: string, platform: string, correlationId: string): Promise<boolean>;
  /** Forgets codes that can no longer be used. */
  prune(): Promise<void>;
}

/** A link that has begun. */
export interface Linking {
  readonly sagaId: string;
  /** Its end, or undefined when that takes longer than a person waits. */
  readonly end: () => Promise<LinkEnd | undefined>;
}

/** How a link ended. */
export interface LinkEnd {
  readonly done: boolean;
  readonly failure: { readonly code: string; readonly detail: string } | undefined;
}
