const day = 86_400_000;

/** How signing keys follow each other. */
export const keyPolicy = {
  /** How long a key signs. */
  periodMs: 30 * day,
  /** How long before its first use a key is published: far more than the 10 min for which verifiers cache. */
  aheadMs: day,
  /** How long a key verifies after its last signature: the longest access token (15 min) and clocks that differ. */
  afterMs: 16 * 60_000,
} as const;

/** The end of tokens that have none: the year 9999. */
export const forever = 253_370_764_800_000;

/** When a key signs and until when it is published. */
export interface KeyTimes {
  readonly signFromMs: number;
  readonly signUntilMs: number;
  /** Later than the rule says when a long-lived API token was signed with it; `forever` for one without an end. */
  readonly verifyUntilMs: number;
}

const from = (signFromMs: number): KeyTimes => {
  const signUntilMs = signFromMs + keyPolicy.periodMs;
  return { signFromMs, signUntilMs, verifyUntilMs: signUntilMs + keyPolicy.afterMs };
};

/**
 * The keys that are missing at this moment: one that signs now, and the next one as soon as the last one has
 * less than a day to go. Empty most of the time.
 */
export const missingKeys = (keys: readonly KeyTimes[], nowMs: number): KeyTimes[] => {
  const missing: KeyTimes[] = [];
  let lastEndMs = Math.max(...keys.map((key) => key.signUntilMs), Number.NEGATIVE_INFINITY);
  if (lastEndMs <= nowMs) {
    const current = from(nowMs);
    missing.push(current);
    lastEndMs = current.signUntilMs;
  }
  if (lastEndMs - nowMs <= keyPolicy.aheadMs) missing.push(from(lastEndMs));
  return missing;
};

/**
 * The key that signs at this moment: of those whose time has begun, the one that began last. One past its end
 * is better than none: its successor could not be stored, and verifiers still know it.
 */
export const signingKey = <K extends KeyTimes>(keys: readonly K[], nowMs: number): K | undefined =>
  keys
    .filter((key) => key.signFromMs <= nowMs && nowMs < key.verifyUntilMs)
    .sort((a, b) => b.signFromMs - a.signFromMs)[0];

/** The keys verifiers must know: the past ones in use, the current one and the next. */
export const publishedKeys = <K extends KeyTimes>(keys: readonly K[], nowMs: number): K[] =>
  keys.filter((key) => nowMs < key.verifyUntilMs);
