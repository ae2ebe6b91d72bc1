import {
  adopt,
  type Clock,
  hasWork,
  type KeptStore,
  type KeptWork,
  type KeyValue,
  keptWork,
} from '@skein/sync-client';

/** Holds a name for this tab alone, until released or the tab is gone; `undefined`: another tab holds it. */
export type Hold = (name: string) => Promise<(() => void) | undefined>;

/** What tabs need to be different devices. */
export interface DeviceDeps {
  readonly storage: KeptStore;
  readonly hold: Hold;
  readonly newId: () => string;
}

/** This tab as a device. */
export interface ClaimedDevice {
  readonly id: string;
  /** Takes another id, for good. */
  rename(): void;
}

/** Tabs of one browser that are devices which come again; a further one has an id of its own while it is open. */
export const slotsMax = 8;
const slots = Array.from({ length: slotsMax }, (_, slot) => `skein.device.${slot}`);
const lockOf = (id: string): string => `skein.device.${id}`;

const slotOf = (storage: KeyValue, id: string): string | undefined =>
  slots.find((slot) => storage.getItem(slot) === id);

/**
 * The device that this tab is. Tabs open at once need different ids, or each would end the other's connection; tabs
 * opened one after the other should not become ever more devices. So each tab takes a free slot, held for as long as it
 * is open, and a slot keeps its id. Where something waits from before comes first, so that it is sent.
 */
export async function claimDevice(deps: DeviceDeps): Promise<ClaimedDevice> {
  const { storage, hold, newId } = deps;
  const waiting = [
    ...new Set(
      keptWork(storage)
        .filter(hasWork)
        .map(({ device }) => device),
    ),
  ];
  const alone = waiting.filter((id) => slotOf(storage, id) === undefined);
  const before = slots.filter((slot) => waiting.includes(storage.getItem(slot) ?? ''));
  for (const slot of before) if (await hold(slot)) return inSlot(storage, slot, newId);
  for (const id of alone) if (await hold(lockOf(id))) return byItself(id, deps);
  for (const slot of slots)
    if (!before.includes(slot) && (await hold(slot))) return inSlot(storage, slot, newId);
  const id = newId();
  await hold(lockOf(id));
  return byItself(id, deps);
}

/** Takes over what other tabs of this person have kept and left behind; see `adopt`. */
export async function adoptLeft(deps: DeviceDeps, user: string, mine: string): Promise<void> {
  const { storage, hold } = deps;
  const left = (one: KeptWork): boolean =>
    one.user === user && one.device !== mine && (hasWork(one) || slotOf(storage, one.device) === undefined);
  for (const { device } of keptWork(storage).filter(left)) {
    const slot = slotOf(storage, device);
    const release = await hold(slot ?? lockOf(device));
    if (release === undefined) continue;
    adopt(storage, `${user}.${device}`, `${user}.${mine}`, slot !== undefined);
    release();
  }
}

function inSlot(storage: KeyValue, slot: string, newId: () => string): ClaimedDevice {
  let id = storage.getItem(slot) ?? '';
  const rename = (): void => {
    id = newId();
    try {
      storage.setItem(slot, id);
    } catch {
      // Not kept: the next page in this slot is another device, and takes over what this one leaves.
    }
  };
  if (id === '') rename();
  return {
    get id() {
      return id;
    },
    rename,
  };
}

function byItself(first: string, { hold, newId }: DeviceDeps): ClaimedDevice {
  let id = first;
  return {
    get id() {
      return id;
    },
    rename: () => {
      id = newId();
      void hold(lockOf(id));
    },
  };
}

/** Holds by the browser's locks, which it frees with the tab. */
export const lockHold: Hold = (name) =>
  new Promise((resolve) => {
    void navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      if (lock === null) return resolve(undefined);
      return new Promise<void>((release) => resolve(release));
    });
  });

/** The part of a `BroadcastChannel` that holding needs. */
export interface Channel {
  postMessage(message: unknown): void;
  onmessage: ((event: MessageEvent) => void) | null;
}

/** An open tab answers within this, unless the browser has frozen it. */
const answerMs = 300;

/**
 * Holds by asking the other tabs, for a page without a secure context, where browsers give no locks. A frozen tab does
 * not answer and loses what it held; the server then ends its connection for the newer one.
 */
export function askingHold(channel: Channel, me: string, clock: Pick<Clock, 'after'>): Hold {
  const held = new Set<string>();
  const asking = new Map<string, (free: boolean) => void>();
  channel.onmessage = ({ data }) => {
    const { ask, taken, by } = data as { ask?: string; taken?: string; by: string };
    // Of two that ask at once, the one with the smaller id has it.
    const ours = ask !== undefined && (held.has(ask) || (asking.has(ask) && me < by));
    if (ours) channel.postMessage({ taken: ask, by: me });
    else if (ask !== undefined) asking.get(ask)?.(false);
    if (taken !== undefined) asking.get(taken)?.(false);
  };
  return async (name) => {
    if (held.has(name) || asking.has(name)) return undefined;
    const free = await new Promise<boolean>((resolve) => {
      const cancel = clock.after(answerMs, () => resolve(true));
      asking.set(name, (is) => {
        cancel();
        resolve(is);
      });
      channel.postMessage({ ask: name, by: me });
    });
    asking.delete(name);
    if (!free) return undefined;
    held.add(name);
    return () => held.delete(name);
  };
}
