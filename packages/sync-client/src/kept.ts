import { emptyQueue, enqueue, isInDoubt } from '@skein/sync-core';
import { loadOutbox, saveOutbox } from './cache.ts';
import { counted, type Kept, loadChanges, saveChanges, waitingIn } from './changes.ts';
import type { KeyValue } from './ports.ts';

/** What a browser keeps, whose keys can be listed. */
export type KeptStore = KeyValue & Pick<Storage, 'key' | 'length'>;

/** Where a device of a person keeps what; `key` is the person's id, a dot, and the device's. */
export function keysOf(key: string) {
  return { state: `skein.state.${key}`, outbox: `skein.outbox.${key}`, changes: `skein.changes.${key}` };
}

/** What is kept of one person on one device. */
export interface KeptWork {
  readonly user: string;
  readonly device: string;
  /** Changes and messages that the server has not answered, and refusals that nobody has read. */
  readonly changes: number;
  readonly messages: number;
  readonly unread: number;
}

function keysIn(storage: KeptStore): readonly string[] {
  return Array.from({ length: storage.length }, (_, at) => storage.key(at) ?? '');
}

/** Everything that is kept, whoever's and whichever device's; what has only a count left is also named. */
export function keptWork(storage: KeptStore): readonly KeptWork[] {
  const found = new Map<string, { readonly user: string; readonly device: string }>();
  for (const key of keysIn(storage)) {
    const [, user, device] = /^skein\.(?:outbox|changes)\.([^.]+)\.(.+)$/.exec(key) ?? [];
    if (user !== undefined && device !== undefined) found.set(`${user}.${device}`, { user, device });
  }
  return [...found].map(([key, whose]) => {
    const keys = keysOf(key);
    const { queues, unsettled } = loadChanges(storage, keys.changes);
    const messages = loadOutbox(storage, keys.outbox).filter(({ state }) => state !== 'sent').length;
    return { ...whose, changes: waitingIn(queues).length, messages, unread: unsettled.length };
  });
}

/** Whether it has more than a count. */
export function hasWork({ changes, messages, unread }: KeptWork): boolean {
  return changes + messages + unread > 0;
}

/**
 * Moves what a device whose tab is gone has kept to another device of the same person. What the server may already have
 * under the old id stays, and is asked for when a tab takes that id again: a move could do it twice. `reused`: the old
 * id will be, so its count stays too. What cannot be written stays where it is.
 */
export function adopt(storage: KeyValue, from: string, into: string, reused: boolean): void {
  const [old, own] = [keysOf(from), keysOf(into)];
  const said = loadOutbox(storage, old.outbox);
  const outbox = [...loadOutbox(storage, own.outbox), ...said];
  if (said.length > 0 && saveOutbox(storage, own.outbox, outbox)) storage.removeItem(old.outbox);

  const theirs = loadChanges(storage, old.changes);
  const ours = loadChanges(storage, own.changes);
  const { home = theirs.home } = ours;
  let { queues, logs } = ours;
  let left = theirs.queues;
  for (const [space, queue] of Object.entries(theirs.queues)) {
    const moving = waitingIn({ space: queue });
    const [log, ourLog] = [theirs.logs[space], logs[space]];
    const ourQueue = queues[space] ?? emptyQueue;
    const mixed = waitingIn({ space: ourQueue }).length > 0 && log?.epoch !== ourLog?.epoch;
    if (moving.length === 0 || isInDoubt(queue) || mixed) continue;
    queues = { ...queues, [space]: moving.reduce(enqueue, ourQueue) };
    const hashes = { ...(log?.epoch === ourLog?.epoch ? ourLog?.hashes : {}), ...log?.hashes };
    if (log !== undefined) logs = { ...logs, [space]: { ...log, hashes } };
    left = { ...left, ...counted({ [space]: queue }).queues };
  }
  const unsettled = [...ours.unsettled, ...theirs.unsettled];
  const moved: Kept = { queues, logs, unsettled, ...(home === undefined ? {} : { home }) };
  if (queues === ours.queues && theirs.unsettled.length === 0) {
    if (!reused && waitingIn(left).length === 0) storage.removeItem(old.changes);
    return;
  }
  if (!saveChanges(storage, own.changes, moved)) return;
  if (!reused && waitingIn(left).length === 0) storage.removeItem(old.changes);
  else saveChanges(storage, old.changes, { ...theirs, queues: left, unsettled: [] });
}

/**
 * Removes everything that is kept of a person, from all of this browser's devices. Only how far each had counted stays:
 * a number is never given out twice.
 */
export function forgetPerson(storage: KeptStore, user: string): void {
  for (const key of keysIn(storage)) {
    const [name, kind, ...whose] = key.split('.');
    if (name !== 'skein' || kind === 'signed-out' || !whose.includes(user)) continue;
    const { queues } = kind === 'changes' ? loadChanges(storage, key) : { queues: {} };
    storage.removeItem(key);
    if (Object.keys(queues).length > 0) saveChanges(storage, key, counted(queues));
  }
}
