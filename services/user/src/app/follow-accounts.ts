import type { DomainEvent } from '@skein/contracts';
import { isLogin, noticeOf } from '../domain/notice.ts';
import type { Repositories } from './ports.ts';

/** The events that are followed. */
export const followed = ['user.registered', 'user.login'] as const;

/**
 * What an event of auth changes here: the last login moves forward, and the person gets the notice it calls for.
 * Within the transaction that remembers the event, so it happens once however often the event comes.
 */
export const followAccounts =
  (newId: () => string) =>
  async (
    event: DomainEvent,
    { logins, notices }: Pick<Repositories, 'logins' | 'notices'>,
  ): Promise<void> => {
    if (isLogin(event))
      await logins.note(event.data.userId, { atMs: event.data.at, platform: event.data.platform });
    const notice = noticeOf(event);
    if (notice) await notices.add({ ...notice, id: newId() });
  };
