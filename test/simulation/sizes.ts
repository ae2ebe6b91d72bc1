import type { Random } from './schedule.ts';

/** How large the world of a seed is, and what happens in it. */
export const sizesOf = (random: Random) => ({
  people: random.between(1, 3),
  teams: random.between(0, 2),
  devices: random.chance(0.8) ? random.between(3, 6) : random.between(7, 20),
  /** Devices that read by server-sent events or by polling. */
  receivers: random.between(0, 3),
  /** Clients of the classic frames. */
  classics: random.chance(0.6) ? 0 : random.between(1, 2),
  replicas: random.between(1, 3),
  gateways: random.between(1, 2),
  durationMs: random.between(8_000, 25_000),
  /** Between two mutations of all devices together. */
  pauseMs: random.between(50, 400),
  restores: random.chance(0.25),
  /** Messages for each mutation. */
  messages: random() * 0.5,
  /** Changes of memberships for each mutation. */
  changes: random.chance(0.5) ? 0 : random() * 0.1,
  /** Sagas for each mutation. */
  recordings: random.chance(0.3) ? 0 : random() * 0.4,
  /** Replicas of a service that lives by events. */
  consumers: random.chance(0.3) ? 0 : random.between(1, 2),
});
