import { type GcraOptions, gcra } from '@skein/resilience';
import type { Clock } from '@skein/service-kit';
import type { GatewayConfig } from '../config.ts';
import { addressKey } from '../http/address.ts';
import type { Limits, Verdict } from '../ports.ts';
import { connectionGuard } from './connection-guard.ts';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

/** The rates a gateway is configured with. */
export type LimitsConfig = Pick<
  GatewayConfig,
  | 'MESSAGES_PER_SECOND'
  | 'MESSAGES_BURST'
  | 'REQUESTS_PER_SECOND'
  | 'ANONYMOUS_PER_SECOND'
  | 'LOGINS_PER_MINUTE'
  | 'REGISTRATIONS_PER_HOUR'
  | 'UNAUTHENTICATED_PER_ADDRESS'
>;

/**
 * Limits of this process, each as configured at the moment. Several gateways each give the whole rate: they protect us,
 * they bill nobody.
 */
export const localLimits = (config: LimitsConfig, clock: Clock): Limits => {
  const limiter = (options: () => GcraOptions) => {
    const rate = gcra(options);
    return (key: string, cost = 1): Verdict => {
      const { allowed, retryAfterMs } = rate.take(key, clock.now(), cost);
      return allowed ? { ok: true } : { ok: false, retryAfterMs };
    };
  };
  const perSecond = (limit: () => number) =>
    limiter(() => ({ limit: limit(), periodMs: second, burst: limit() * 2 }));
  const logins = () => limiter(() => ({ limit: config.LOGINS_PER_MINUTE, periodMs: minute }));
  const messages = limiter(() => ({
    limit: config.MESSAGES_PER_SECOND,
    periodMs: second,
    burst: config.MESSAGES_BURST,
  }));
  const requests = perSecond(() => config.REQUESTS_PER_SECOND);
  const anonymous = perSecond(() => config.ANONYMOUS_PER_SECOND);
  const loginsByAddress = logins();
  const loginsByAccount = logins();
  const registrations = limiter(() => ({ limit: config.REGISTRATIONS_PER_HOUR, periodMs: hour }));
  return {
    message: (userId, count = 1) => messages(userId, Math.min(count, config.MESSAGES_BURST)),
    request: (userId) => requests(userId),
    anonymous: (address) => anonymous(addressKey(address)),
    login: (address, account) => {
      // The address first: one that is over its limit does not use up somebody's account.
      const verdict = loginsByAddress(addressKey(address));
      return verdict.ok ? loginsByAccount(account.trim().toLowerCase()) : verdict;
    },
    register: (address) => registrations(addressKey(address)),
    unauthenticated: connectionGuard(() => config.UNAUTHENTICATED_PER_ADDRESS),
  };
};
