/**
 * Hybrid logical clock (Kulkarni et al., 2014): a stamp made after seeing another always sorts after it, and stays
 * near real time. Text `<ms, 12 hex>-<counter, 4 hex>-<device>`; texts compare as stamps do.
 */
export interface Hlc {
  /** Milliseconds since the epoch. */
  readonly ms: number;
  /** 0 to 65,535. */
  readonly counter: number;
  readonly device: string;
}

const maxMs = 0xffff_ffff_ffff;
const maxCounter = 0xffff;
const shape = /^([0-9a-f]{12})-([0-9a-f]{4})-(.+)$/su;

/** How far ahead of the server's clock a stamp may be; more is a wrong clock. */
export const maxAheadMs = 60_000;

/** A stamp as text. */
export const encodeHlc = ({ ms, counter, device }: Hlc): string =>
  `${ms.toString(16).padStart(12, '0')}-${counter.toString(16).padStart(4, '0')}-${device}`;

/** A text as a stamp; undefined for anything malformed. */
export const parseHlc = (text: string): Hlc | undefined => {
  const [, ms, counter, device] = shape.exec(text) ?? [];
  if (!ms || !counter || !device) return undefined;
  return { ms: Number.parseInt(ms, 16), counter: Number.parseInt(counter, 16), device };
};

/** Order of two stamps as texts: negative, 0 or positive. Total, so all replicas agree. */
export const compareHlc = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const advance = (ms: number, counter: number, device: string): Hlc => {
  // A counter that runs over borrows a millisecond; the order is kept.
  if (counter > maxCounter) return { ms: Math.min(ms + 1, maxMs), counter: 0, device };
  return { ms, counter, device };
};

/** The stamp of something this device does now, after `last`. */
export const tickHlc = (last: Hlc | undefined, nowMs: number, device: string): Hlc => {
  if (!last || nowMs > last.ms) return { ms: nowMs, counter: 0, device };
  return advance(last.ms, last.counter + 1, device);
};

/** The clock after a stamp of somebody else was seen: what this device does next sorts after it. */
export const receiveHlc = (last: Hlc | undefined, seen: Hlc, nowMs: number, device: string): Hlc => {
  const ms = Math.max(last?.ms ?? 0, seen.ms, nowMs);
  const counter = Math.max(last?.ms === ms ? last.counter + 1 : 0, seen.ms === ms ? seen.counter + 1 : 0);
  return advance(ms, counter, device);
};

/**
 * A stamp as the server takes it: one from a clock that is far ahead counts as 60 s ahead, so that it neither wins
 * for ever nor keeps its device from syncing.
 */
export const clampHlc = (hlc: string, nowMs: number): string => {
  const stamp = parseHlc(hlc);
  if (!stamp || stamp.ms <= nowMs + maxAheadMs) return hlc;
  return encodeHlc({ ...stamp, ms: nowMs + maxAheadMs });
};
