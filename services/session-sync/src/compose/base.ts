import type { Platform } from '@skein/platform';
import type { Database } from '@skein/postgres';
import type { Clock } from '@skein/service-kit';
import type { Ids, Timers } from '../app/ports.ts';

/** What every part of this service stands on. */
export interface Base {
  readonly platform: Platform;
  readonly database: Database;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly ids: Ids;
}
