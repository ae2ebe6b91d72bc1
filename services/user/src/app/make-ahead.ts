/** How long making a profile ahead of its first use may take. */
export const aheadTimeoutMs = 5_000;

/** Profiles made at once; beyond it they wait for their first touch. */
const maxInHand = 20;

interface Deps {
  readonly make: (userId: string, correlationId: string) => Promise<unknown>;
  readonly onError: (userId: string, error: unknown) => void;
}

/**
 * Makes a profile before anybody asks for it. Only a head start: what fails, or is one too many, is made at
 * first touch.
 */
export const makeAhead = ({ make, onError }: Deps) => {
  let inHand = 0;
  return ({ subject, correlationId }: { subject: string; correlationId: string }): void => {
    if (inHand >= maxInHand) return;
    inHand += 1;
    make(subject, correlationId)
      .catch((error: unknown) => onError(subject, error))
      .finally(() => {
        inHand -= 1;
      });
  };
};
