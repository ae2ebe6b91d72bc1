import type { Gateway } from './gateway.ts';
import type { Screen } from './screen.ts';

interface DeadLetter {
  readonly id: string;
  readonly service: string;
  readonly consumer: string;
  readonly type: string;
  readonly subject: string;
  readonly error: string;
  readonly attempts: number;
  readonly diedAt: string;
}

const path = '/v1/admin/dead-letters';

/** Prints all of them, page by page. */
export const listDeadLetters = async (
  gateway: Gateway,
  screen: Screen,
  service: string | undefined,
): Promise<void> => {
  let count = 0;
  let cursor: string | undefined;
  do {
    const query = new URLSearchParams({
      ...(service === undefined ? {} : { service }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    const page = (await gateway.call('GET', `${path}?${query}`)) as {
      readonly items: readonly DeadLetter[];
      readonly next?: string;
    };
    for (const letter of page.items) {
      const { id, consumer, type, subject, attempts, diedAt, error } = letter;
      screen.row(
        { ...letter },
        `${id}\n  ${diedAt}  ${letter.service}/${consumer}  ${type} of ${subject}, ${attempts} attempts\n  ${error}`,
      );
      count += 1;
    }
    cursor = page.next;
  } while (cursor !== undefined);
  screen.say(count === 0 ? 'There are no dead letters.' : `${count} dead letter(s).`);
};

/** Has each handled again; false when one of them failed. */
export const retryDeadLetters = async (
  gateway: Gateway,
  screen: Screen,
  ids: readonly string[],
  reason: string,
): Promise<boolean> => {
  let fine = true;
  for (const id of ids) {
    const { outcome, error } = (await gateway.call('POST', `${path}/${encodeURIComponent(id)}/retry`, {
      reason,
    })) as { readonly outcome: string; readonly error?: string };
    fine &&= outcome !== 'failed';
    screen.row({ id, outcome, error }, `${id}  ${outcome}${error === undefined ? '' : `: ${error}`}`);
  }
  return fine;
};

/** Forgets each. */
export const dropDeadLetters = async (
  gateway: Gateway,
  screen: Screen,
  ids: readonly string[],
  reason: string,
): Promise<void> => {
  for (const id of ids) {
    await gateway.call('POST', `${path}/${encodeURIComponent(id)}/drop`, { reason });
    screen.row({ id, outcome: 'dropped' }, `${id}  dropped`);
  }
};
