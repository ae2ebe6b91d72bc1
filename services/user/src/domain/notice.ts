import type { DomainEvent } from '@skein/contracts';

/** Something a person should know. */
export interface Notice {
  readonly id: string;
  readonly userId: string;
  readonly kind: 'welcome' | 'unusual_login';
  readonly timeMs: number;
  /** Facts for whoever words it: ids, names of platforms, times. */
  readonly data: Readonly<Record<string, string | number>>;
}

/** The notice an event asks for; undefined for most. */
export const noticeOf = (event: DomainEvent): Omit<Notice, 'id'> | undefined => {
  if (isRegistration(event))
    return { userId: event.data.userId, kind: 'welcome', timeMs: event.data.registeredAt, data: {} };
  if (isLogin(event) && event.data.unusual) {
    const { userId, at, sessionId, deviceId, platform } = event.data;
    const where = deviceId === undefined ? { platform } : { platform, deviceId };
    return { userId, kind: 'unusual_login', timeMs: at, data: { sessionId, at, ...where } };
  }
  return undefined;
};

const isRegistration = (event: DomainEvent): event is DomainEvent<'user.registered'> =>
  event.type === 'user.registered';

export const isLogin = (event: DomainEvent): event is DomainEvent<'user.login'> =>
  event.type === 'user.login';
