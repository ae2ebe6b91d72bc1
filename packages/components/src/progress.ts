/** Writes one whole line to where people read it. */
export type Line = (text: string) => void;

/** A step that takes longer says so again after each of these. */
const stillEveryMs = 30_000;

/** Time in words, as short as it stays exact enough: `0.4 s`, `12 s`, `2 min 5 s`. */
export const inWords = (ms: number): string => {
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
};

/**
 * Runs a step and reports it: a line when it starts, one every half minute while it lasts, one when it is done.
 * A failing step prints nothing; its error says it all.
 */
export const step = async <T>(
  line: Line,
  subject: string,
  doing: string,
  work: () => Promise<T>,
): Promise<T> => {
  const start = performance.now();
  line(`${subject}  ${doing}`);
  const still = setInterval(
    () => line(`${subject}  still at it, ${inWords(performance.now() - start)}`),
    stillEveryMs,
  );
  try {
    const result = await work();
    line(`${subject}  ready after ${inWords(performance.now() - start)}`);
    return result;
  } finally {
    clearInterval(still);
  }
};
