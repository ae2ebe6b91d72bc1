import { type HashedDocument, stateHashOf } from '@skein/sync-core';
import type { Call, Changed, DeviceHistory, History, Logged, PersonHistory, Seen } from './history.ts';

/** What can be wrong with a history. */
export const faultKinds = {
  lost: 'an acknowledged write is not in the log, or not where it was said to be',
  doubled: 'a write is in the log twice, an event has two places, or a device saw one twice',
  gap: 'an offset is missing in the log, or a device went past an event',
  different: 'a device saw another event than the log has',
  behind: 'a device had not seen the whole log at the end',
  unanswered: 'an answer that was asked for has not exactly one end, or failed',
  diverged: 'a device has other documents than the server',
  unfinished: 'a saga that was begun is not done',
  failed: 'the bounded retries of a call ended without success',
  ended: 'a device was told not to come back',
} as const;

/** One of `faultKinds`. */
export type FaultKind = keyof typeof faultKinds;

/** Something that must not be. */
export interface Fault {
  readonly kind: FaultKind;
  /** Who, what, where. */
  readonly detail: string;
}

/** Types that end a turn. */
export const turnEnds = new Set(['message.completed', 'turn.cancelled', 'turn.failed']);

function* doubles(values: Iterable<string | undefined>): Generator<string> {
  const known = new Set<string>();
  for (const value of values) {
    if (value === undefined) continue;
    if (known.has(value)) yield value;
    known.add(value);
  }
}

function* faultsOfLog({ id, log }: PersonHistory): Generator<Fault> {
  for (const [at, { offset }] of log.entries()) {
    if (offset === at + 1) continue;
    yield { kind: 'gap', detail: `the log of ${id} has offset ${offset} where ${at + 1} belongs` };
    break;
  }
  for (const eventId of doubles(log.map((one) => one.id)))
    yield { kind: 'doubled', detail: `event ${eventId} has two places in the log of ${id}` };
  const created = log.filter(({ type }) => type === 'message.created');
  for (const message of doubles(created.map((one) => one.clientMessageId)))
    yield { kind: 'doubled', detail: `message ${message} was written twice into the log of ${id}` };
}

function* faultsOfWrites({ id, log, writes }: PersonHistory): Generator<Fault> {
  const places = new Map<string | undefined, number>();
  for (const { clientMessageId, offset } of log) places.set(clientMessageId, offset);
  for (const { clientMessageId, acknowledged } of writes) {
    if (!acknowledged) continue;
    const place = places.get(clientMessageId);
    if (place === acknowledged.offset) continue;
    const where = place === undefined ? 'nowhere' : `at ${place}`;
    const detail = `message ${clientMessageId} of ${id}, acknowledged at ${acknowledged.offset}, is ${where}`;
    yield { kind: 'lost', detail };
  }
}

function* faultsOfTurns({ id, log, writes }: PersonHistory): Generator<Fault> {
  const ended = Map.groupBy(
    log.filter(({ type }) => turnEnds.has(type)),
    ({ turnId }) => turnId,
  );
  for (const turnId of new Set(writes.map(({ acknowledged }) => acknowledged?.turnId))) {
    if (turnId === undefined) continue;
    const how = (ended.get(turnId) ?? []).map(({ type }) => type);
    if (how.length === 1 && how[0] === 'message.completed') continue;
    yield { kind: 'unanswered', detail: `turn ${turnId} of ${id} ended with [${how.join(', ')}]` };
  }
}

function* faultsOfDevice(device: DeviceHistory, log: readonly Logged[]): Generator<Fault> {
  const { id, from, seen, ended } = device;
  let next = from + 1;
  for (const { offset, id: eventId } of seen) {
    if (offset < next) {
      yield { kind: 'doubled', detail: `${id} saw offset ${offset} again, ${next} was to come` };
      continue;
    }
    if (offset > next) yield { kind: 'gap', detail: `${id} saw ${offset} where ${next} was to come` };
    const kept = log[offset - 1];
    if (kept?.id !== eventId) {
      const detail = `${id} saw ${eventId} at ${offset}, the log has ${kept?.id ?? 'nothing'}`;
      yield { kind: 'different', detail };
    }
    next = offset + 1;
  }
  if (next <= log.length) yield { kind: 'behind', detail: `${id} is at ${next - 1} of ${log.length}` };
  if (ended !== undefined) yield { kind: 'ended', detail: `${id} was closed with ${ended}` };
}

/** The hash of the documents after these events. */
const hashAfter = (events: Iterable<Seen>): string => {
  const documents = new Map<string, Changed>();
  for (const { document } of events)
    if (document) documents.set(`${document.collection}/${document.id}`, document);
  const live = (one: Changed): one is HashedDocument => one.hash !== undefined;
  return stateHashOf([...documents.values()].filter(live));
};

function* faultsOfDocuments({ id, log, devices, documents }: PersonHistory): Generator<Fault> {
  if (!documents) return;
  const { additions, tally, recordings, ledger, stateHash } = documents;
  const counted = function* (what: string, found: number, least: number, most: number): Generator<Fault> {
    if (found < least) yield { kind: 'lost', detail: `${what} of ${id}: ${found}, acknowledged ${least}` };
    if (found > most) yield { kind: 'doubled', detail: `${what} of ${id}: ${found}, asked for ${most}` };
  };
  for (const [device, some] of Map.groupBy(additions, (one) => one.device)) {
    const done = some.filter((one) => one.done).length;
    yield* counted(`additions by ${device}`, tally[device] ?? 0, done, some.length);
  }
  const done = additions.filter((one) => one.done).length;
  yield* counted('additions together', tally['all'] ?? 0, done, additions.length);
  for (const { acknowledged, state } of recordings)
    if (acknowledged && state !== 'done')
      yield { kind: 'unfinished', detail: `saga ${acknowledged.sagaId} of ${id} is ${state ?? 'under way'}` };
  const begun = recordings.filter(({ acknowledged }) => acknowledged).length;
  yield* counted('ledger entries', ledger.entries, begun, recordings.length);
  if (!ledger.intact) yield { kind: 'different', detail: `the ledger of ${id} is not intact` };
  const logged = hashAfter(log);
  if (logged !== stateHash)
    yield { kind: 'diverged', detail: `the log of ${id} makes ${logged}, the server has ${stateHash}` };
  for (const device of devices) {
    const its = hashAfter([...log.slice(0, device.from), ...device.seen]);
    if (its !== stateHash)
      yield { kind: 'diverged', detail: `${device.id} of ${id} has ${its}, the server ${stateHash}` };
  }
}

/** All calls of a person. */
export const callsOf = ({ writes, calls, documents }: PersonHistory): Call[] => [
  ...writes,
  ...calls,
  ...(documents ? [...documents.additions, ...documents.recordings] : []),
];

function* faultsOfCalls(person: PersonHistory): Generator<Fault> {
  const { id } = person;
  for (const { kind, done, failures } of callsOf(person)) {
    if (done) continue;
    const detail = `${kind} by ${id} failed after ${failures.length} tries, at last: ${failures.at(-1)}`;
    yield { kind: 'failed', detail };
  }
}

/**
 * Compares what clients saw with what the server kept. An empty list says: every acknowledged write is in the log
 * exactly once and where it was said to be; every device saw every event after its first position exactly once and
 * in order, so all of them saw the same and have the same documents; every change counts once; every answer and saga asked for came to one good end; every call was done within its
 * retries. A write without an acknowledgement may have happened or not: neither is a fault of its own.
 */
export const faultsOf = (history: History): Fault[] =>
  history.flatMap((person) => [
    ...faultsOfLog(person),
    ...faultsOfWrites(person),
    ...faultsOfTurns(person),
    ...person.devices.flatMap((device) => [...faultsOfDevice(device, person.log)]),
    ...faultsOfDocuments(person),
    ...faultsOfCalls(person),
  ]);
