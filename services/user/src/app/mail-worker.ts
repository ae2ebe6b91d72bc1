import type { Service } from '@skein/service-kit';
import type { DueMail, MailQueue } from './ports.ts';

/** Mails sent at once by this process. */
const maxInHand = 4;
/** Longest time between a mail falling due and its attempt, when nobody wakes the worker. */
const lookEveryMs = 5_000;

interface Deps {
  readonly queue: MailQueue;
  readonly attempt: (due: DueMail) => Promise<unknown>;
  readonly failed: (error: unknown) => void;
}

/** Sends what is due, as a part; `wake` looks at once. `stop` waits for the attempts under way. */
export const mailWorker = ({ queue, attempt, failed }: Deps): Service & { wake(): void } => {
  let stopping = false;
  let again = false;
  let wakeUp = () => {};
  let loop: Promise<void> = Promise.resolve();

  const pause = () =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, lookEveryMs);
      wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const forever = async () => {
    while (!stopping) {
      again = false;
      try {
        const due = await queue.take(maxInHand);
        for (const { reason } of (await Promise.allSettled(due.map(attempt))).filter(
          (one) => one.status === 'rejected',
        ))
          failed(reason);
        if (due.length > 0) continue;
      } catch (error) {
        failed(error);
      }
      if (!again && !stopping) await pause();
    }
  };

  return {
    id: 'mails',
    run: async () => {
      loop = forever();
    },
    wake: () => {
      again = true;
      wakeUp();
    },
    stop: async () => {
      stopping = true;
      wakeUp();
      await loop;
    },
  };
};
