import type { Gateway } from './gateway.ts';
import type { Screen } from './screen.ts';

interface Saga {
  readonly id: string;
  readonly service: string;
  readonly name: string;
  readonly state: string;
  readonly createdAt: string;
  readonly attempts: number;
  readonly subject?: string;
  readonly failure?: { readonly code: string; readonly detail: string };
}

const path = '/v1/admin/sagas';

/** What can be done about a saga. */
export const sagaVerbs: readonly string[] = [
  'cancel',
  'compensate',
  'retry',
  'park',
  'skip',
  'force-complete',
  'kill',
];

/** Prints those of a state, newest first, page by page. */
export const listSagas = async (
  gateway: Gateway,
  screen: Screen,
  { service, state }: { readonly service: string | undefined; readonly state: string },
): Promise<void> => {
  let count = 0;
  let cursor: string | undefined;
  do {
    const query = new URLSearchParams({
      state,
      ...(service === undefined ? {} : { service }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    const page = (await gateway.call('GET', `${path}?${query}`)) as {
      readonly items: readonly Saga[];
      readonly next?: string;
    };
    for (const saga of page.items) {
      const { id, name, createdAt, attempts, subject = 'nobody', failure } = saga;
      const why = failure === undefined ? '' : `\n  ${failure.code}: ${failure.detail}`;
      screen.row(
        { ...saga },
        `${id}\n  ${createdAt}  ${saga.service}/${name} about ${subject}, ${saga.state}, ${attempts} attempts${why}`,
      );
      count += 1;
    }
    cursor = page.next;
  } while (cursor !== undefined);
  screen.say(count === 0 ? `There are no ${state} sagas.` : `${count} ${state} saga(s).`);
};

/** Has each do what the operator decided; the first that cannot ends it. */
export const operateSagas = async (
  gateway: Gateway,
  screen: Screen,
  ids: readonly string[],
  { verb, ...order }: { readonly verb: string; readonly reason: string; readonly value?: unknown },
): Promise<void> => {
  for (const id of ids) {
    const answer = await gateway.call('POST', `${path}/${encodeURIComponent(id)}/${verb}`, order);
    const { state } = answer as { readonly state: string };
    screen.row({ id, state }, `${id}  ${state}`);
  }
};
