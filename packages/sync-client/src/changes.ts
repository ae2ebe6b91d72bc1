import {
  applyOps,
  encodeHlc,
  type Hlc,
  type Json,
  type Mutation,
  type MutationResult,
  type Op,
  parseHlc,
  tickHlc,
} from '@skein/sync-core';
import { fields, list, num, str } from './decode.ts';
import type { Document, ServerFrame } from './frames.ts';
import {
  documentKey,
  type Logs,
  type Queues,
  type SessionState,
  type Settling,
  type SpaceState,
  type Unsettled,
} from './model.ts';
import type { Clock, KeyValue } from './ports.ts';
import { createWriter, type MutationFrame } from './writer.ts';

/** What a person does to one document. */
export interface Change {
  readonly collection: string;
  readonly id: string;
  readonly ops: readonly Op[];
}

/**
 * What one device may pile up while offline, and refusals that may wait to be read. More changes are refused visibly,
 * never dropped silently.
 */
export const changesMax = 200;

/** The part of the state that this keeps. */
export interface Written {
  readonly queues: Queues;
  readonly logs: Logs;
  /** Answered, and their event is not here yet. */
  readonly settling: readonly Settling[];
  /** Refused, or not in as they were meant: for the person to read. */
  readonly unsettled: readonly Unsettled[];
}

/** What it needs from outside. */
export interface ChangesDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly newId: () => string;
  readonly device: () => string;
  readonly read: () => Written;
  readonly write: (written: Partial<Written>) => void;
  readonly spaceOf: (space: string) => SpaceState | undefined;
  readonly send: (frame: { readonly type: string }) => void;
  /** Tells of every answer; for whoever checks. */
  readonly settled: (space: string, mutation: Mutation, result: MutationResult) => void;
  readonly refused: (code: string) => void;
  readonly rename: () => void;
}

/** A person's changes of documents on their way to the server, whether or not there is a line. */
export interface Changes {
  /** Takes a change; it is sent at once when live, in order with the others later. `false`: too many wait. */
  change(space: string, change: Change): boolean;
  hear(frame: ServerFrame): void;
  disconnected(): void;
}

/** Changes over the queue of sync-core. */
export function createChanges(deps: ChangesDeps): Changes {
  const waiting = (): readonly Mutation[] => Object.values(deps.read().queues).flatMap(waitingOf);
  // What is done after a reload sorts after what waits from before it, whatever the clock says.
  let stamp: Hlc | undefined = waiting()
    .map(({ hlc }) => hlc)
    .toSorted()
    .map(parseHlc)
    .at(-1);

  // Of more than can wait to be sent at once, the oldest are let go.
  const tell = (told: readonly Omit<Unsettled, 'key'>[]): void => {
    const keyed = told.map((one) => ({ key: deps.newId(), ...one }));
    deps.write({ unsettled: [...deps.read().unsettled, ...keyed].slice(-changesMax) });
  };

  const settled = (space: string, mutation: Mutation, result: MutationResult): void => {
    deps.settled(space, mutation, result);
    const { original: final = result } = result;
    const position = deps.spaceOf(space)?.position;
    const { settling } = deps.read();
    if (final.outcome === 'applied' || final.outcome === 'merged') {
      if (final.offset === undefined || position === undefined || final.offset <= position.offset) return;
      deps.write({
        settling: [...settling, { space, mutation, epoch: position.epoch, offset: final.offset }],
      });
      return;
    }
    const { outcome, code = '', conflictId } = final;
    tell([{ mutation, outcome, code, ...(conflictId === undefined ? {} : { conflictId }) }]);
  };

  const writer = createWriter({
    ...{ clock: deps.clock, random: deps.random, newId: deps.newId, send: deps.send, settled },
    ...{ refused: deps.refused, rename: deps.rename },
    // Nobody knows whether what was sent before has been done; it is not in as it was meant for all this device can tell.
    givenUp: (mutations, code) =>
      tell(mutations.map((mutation) => ({ mutation, outcome: 'rejected', code }))),
    queues: deps.read().queues,
    logs: deps.read().logs,
    keep: (queues, logs) => deps.write({ queues, logs }),
    stateOf: deps.spaceOf,
  });

  return {
    change: (space, { collection, id, ops }) => {
      if (waiting().length >= changesMax) return false;
      stamp = tickHlc(stamp, deps.clock.now(), deps.device());
      // The version as the server gave it: what this device has queued is no news to itself.
      const baseVersion = deps.spaceOf(space)?.documents[documentKey(collection, id)]?.version ?? 0;
      writer.mutate(space, { collection, id, ops, baseVersion, hlc: encodeHlc(stamp) });
      return true;
    },
    hear: (frame) => {
      const heard = readMutationFrame(frame);
      if (heard !== undefined) writer.hear(heard);
    },
    disconnected: writer.disconnected,
  };
}

/** What the server has not answered, in the order in which it was done. */
function waitingOf({ displaced, waiting }: Queues[string]): readonly Mutation[] {
  return [...displaced, ...waiting];
}

/** All that has not been answered. */
export function waitingIn(queues: Queues): readonly Mutation[] {
  return Object.values(queues).flatMap(waitingOf);
}

/** Without those whose event has come. In another log, or behind a snapshot, it does not come any more. */
export function stillSettling(
  settling: readonly Settling[],
  spaces: { readonly [id: string]: SpaceState },
): readonly Settling[] {
  const left = settling.filter(({ space, epoch, offset }) => {
    const position = spaces[space]?.position;
    return position?.epoch === epoch && position.offset < offset;
  });
  return left.length === settling.length ? settling : left;
}

/** A document as the person left it. */
export interface ShownDocument extends Document {
  /** Something of it has not been answered. */
  readonly waiting: boolean;
}

/** The documents of a space with everything the person has done to them, whether or not the server knows. */
export function shownDocuments(
  space: string,
  documents: SpaceState['documents'],
  { queues, settling }: Pick<Written, 'queues' | 'settling'>,
): { readonly [key: string]: ShownDocument } {
  const shown: Record<string, ShownDocument> = {};
  for (const [key, document] of Object.entries(documents)) shown[key] = { ...document, waiting: false };
  const put = ({ collection, id, ops }: Mutation, waiting: boolean): void => {
    const key = documentKey(collection, id);
    const before = shown[key];
    const applied = applyOps(before?.value as Json | undefined, ops);
    // What cannot be applied here is refused there; the person is told why then.
    if ('fault' in applied) return;
    if (applied.value === undefined) delete shown[key];
    else
      shown[key] = {
        ...{ collection, id, version: before?.version ?? 0, hash: before?.hash ?? '' },
        ...{ value: applied.value, waiting: waiting || before?.waiting === true },
      };
  };
  for (const one of settling) if (one.space === space) put(one.mutation, false);
  const queue = queues[space];
  if (queue !== undefined) for (const mutation of waitingOf(queue)) put(mutation, true);
  return shown;
}

/** Raised when the shape of what is kept changes: an older one is then ignored, not misread. */
const version = 1;

/** The parts of the state that have to outlive the page: without them, what was done offline would be lost. */
export const keptParts = ['queues', 'logs', 'unsettled', 'home'] as const;

/** What is kept; `home` is the own space, where what is done before the first welcome of a page goes. */
export type Kept = Pick<SessionState, (typeof keptParts)[number]>;

/** Keeps the queues in one write, so that a number is never given out twice. `false`: the browser keeps nothing. */
export function saveChanges(storage: KeyValue, key: string, kept: Kept): boolean {
  const parts = Object.fromEntries(keptParts.map((part) => [part, kept[part]]));
  try {
    storage.setItem(key, JSON.stringify({ version, ...parts }));
    return true;
  } catch {
    return false; // They still wait in memory, and the page shows them as waiting.
  }
}

/** The kept queues; none when there are none or they cannot be read. */
export function loadChanges(storage: KeyValue, key: string): Kept {
  try {
    const kept = fields(JSON.parse(storage.getItem(key) ?? 'null'));
    if (kept['version'] === version) {
      const { queues, logs, unsettled, home } = kept as unknown as Kept;
      return { queues, logs, unsettled, ...(home === undefined ? {} : { home }) };
    }
  } catch {
    // Cut short: the server then knows more of this device than it does itself, and it takes another id.
  }
  return { queues: {}, logs: {}, unsettled: [] };
}

/** What is left when the person signs out: nothing of what was written, and how far this device had counted. */
export function counted(queues: Queues): Kept {
  const empty = { waiting: [], displaced: [] };
  const left = Object.entries(queues).map(([space, { sent }]) => [space, { lastSeq: sent, sent, ...empty }]);
  return { queues: Object.fromEntries(left), logs: {}, unsettled: [] };
}

function readMutationFrame(frame: ServerFrame): MutationFrame | undefined {
  switch (frame.type) {
    case 'welcome':
      return { type: 'welcome', streams: frame.streams };
    case 'subscribed':
      return { type: 'subscribed', space: frame.stream.space, lastSeq: frame.stream.lastSeq ?? 0 };
    case 'unsubscribed':
      return { type: 'unsubscribed', space: frame.space };
    case 'snapshot':
      return { type: 'snapshot', space: frame.space, part: frame.part, parts: frame.parts };
    case 'result':
      return { type: 'result', id: frame.id, results: list(frame.fields['results']).map(readResult) };
    case 'error':
      return frame;
    default:
      return undefined;
  }
}

function readResult(raw: unknown): MutationResult {
  const f = fields(raw);
  const text = (name: 'code' | 'conflictId') => (str(f[name]) === '' ? {} : { [name]: str(f[name]) });
  const whole = (name: 'version' | 'offset') => (typeof f[name] === 'number' ? { [name]: f[name] } : {});
  return {
    seq: num(f['seq']),
    outcome: str(f['outcome']) as MutationResult['outcome'],
    ...{ ...whole('version'), ...whole('offset'), ...text('code'), ...text('conflictId') },
    ...(f['original'] === undefined ? {} : { original: readResult(f['original']) }),
  };
}
