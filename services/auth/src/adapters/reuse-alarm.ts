import type { Logger, MetricRegistry } from '@skein/telemetry';

/** Which login ended because one of its refresh tokens came twice. */
export interface Reuse {
  readonly userId: string;
  readonly sessionId: string;
  readonly deviceId: string;
}

/** Counts and logs reuses: a theft, or a client with a fault; somebody should look. */
export const reuseAlarm = ({ log, metrics }: { log: Logger; metrics: MetricRegistry }) => {
  const reuses = metrics.counter(
    'skein_auth_refresh_reuse_total',
    'Logins ended because a refresh token came twice',
  );
  // There from the start: Prometheus does not see a series that begins with 1 rise.
  reuses.add(0);
  return (reuse: Reuse): void => {
    reuses.add();
    log.warn(reuse, 'a refresh token came twice: the login was ended');
  };
};
