import type { DomainEvent } from '@skein/contracts';
import type { Log } from './history.ts';

/** What leaves the service with every answer, and what the consumer takes of all that leaves. */
export const published = ['message.created', 'message.completed'] as const;

/** An effect of the consumer, in the order they were made. */
export interface Effect {
  readonly event: string;
  readonly subject: string;
}

const bySubject = <T>(all: Iterable<T>, of: (one: T) => string, id: (one: T) => string) => {
  const ids = new Map<string, string[]>();
  for (const one of all) {
    const some = ids.get(of(one)) ?? [];
    ids.set(of(one), some);
    some.push(id(one));
  }
  return ids;
};

/** The first place in which two orders of the same things differ. */
const outOfOrder = (is: readonly string[], should: readonly string[]): number =>
  is.findIndex((one, at) => one !== should[at]);

/** Every event that leaves the service has left it, those of a space in the order of its log. */
const relayed = ({ space, entries }: Log, stored: ReadonlyMap<string, DomainEvent>): string[] => {
  const leaving = entries.filter(({ type }) => (published as readonly string[]).includes(type));
  const missing = leaving.filter(({ id }) => !stored.has(id));
  if (missing.length > 0)
    return missing.map(({ type, offset }) => `relay: ${type} at ${offset} of ${space} was never published`);
  const order = leaving.map(({ id }) => id);
  const known = new Set(order);
  const was = [...stored.keys()].filter((id) => known.has(id));
  const at = outOfOrder(was, order);
  return at < 0 ? [] : [`relay: ${space} was published out of order at ${leaving[at]?.offset}`];
};

/** Each event has its effect once, and those of one subject come in order, but for what was a dead letter. */
const effectsOnce = (
  stored: ReadonlyMap<string, DomainEvent>,
  { made, dead }: { readonly made: readonly Effect[]; readonly dead: ReadonlySet<string> },
): string[] => {
  const wrong: string[] = [];
  const counts = new Map<string, number>();
  for (const { event } of made) counts.set(event, (counts.get(event) ?? 0) + 1);
  const taken = [...stored.values()].filter(({ type }) => (published as readonly string[]).includes(type));
  for (const { id } of taken)
    if (counts.get(id) !== 1) wrong.push(`consumer: ${id} has had its effect ${counts.get(id) ?? 0} times`);
  if (wrong.length > 0) return wrong;
  const alive = ({ id }: { readonly id: string }) => !dead.has(id);
  const effects = bySubject(
    made.filter(({ event }) => alive({ id: event })),
    ({ subject }) => subject,
    ({ event }) => event,
  );
  const events = bySubject(
    taken.filter(alive),
    ({ subject }) => subject,
    ({ id }) => id,
  );
  for (const [subject, is] of effects) {
    const at = outOfOrder(is, events.get(subject) ?? []);
    if (at >= 0) wrong.push(`consumer: the effects of ${subject} are out of order at ${is[at]}`);
  }
  return wrong;
};

/** Events on their way from the log over the bus to their effects. */
export const events = (
  current: readonly Log[],
  stored: ReadonlyMap<string, DomainEvent>,
  effects: Parameters<typeof effectsOnce>[1] | undefined,
): string[] => [
  ...current.flatMap((log) => relayed(log, stored)),
  ...(effects ? effectsOnce(stored, effects) : []),
];
