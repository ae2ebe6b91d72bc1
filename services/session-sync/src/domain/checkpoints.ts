/** Checkpoints right behind the newest one that are all kept. */
const recent = 16;

/**
 * Whether a log that has got to checkpoint `newest` keeps checkpoint `number`, both counted from the first: the recent
 * ones, then every second, every fourth … each time the distance doubles. So a log keeps at most 16 + 8 log₂(n / 16)
 * of n, and what is replayed to an old state is at most an eighth of its distance. What is not kept once is never kept
 * later.
 */
export const keepsCheckpoint = (number: number, newest: number): boolean => {
  let step = 1;
  for (let reach = recent; newest - number >= reach; reach *= 2) step *= 2;
  return number % step === 0;
};
