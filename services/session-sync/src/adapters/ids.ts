import { randomBytes } from 'node:crypto';
import { v7 } from 'uuid';
import type { Ids, Timers } from '../app/ports.ts';

/** Real identifiers. */
export const systemIds: Ids = {
  next: () => v7(),
  epoch: () => randomBytes(9).toString('base64url'),
  code: () => randomBytes(16).toString('base64url'),
};

/** Real timers; they never keep a process alive. */
export const systemTimers: Timers = {
  after: (delayMs, work) => {
    const timer = setTimeout(work, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
