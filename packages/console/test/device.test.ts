import {
  forgetPerson,
  keptWork,
  keysOf,
  loadChanges,
  loadOutbox,
  type OutboxEntry,
  saveChanges,
  saveOutbox,
  waitingIn,
} from '@skein/sync-client';
import { countingIds, FakeClock, memoryStorage, settle, space } from '@skein/sync-client/testing';
import { emptyQueue, enqueue, type Mutation, type MutationQueue, sending } from '@skein/sync-core';
import { describe, expect, it } from 'vitest';
import { adoptLeft, askingHold, type Channel, claimDevice, type Hold, slotsMax } from '../src/device.ts';

/** A browser: one storage, and the locks that its tabs share. */
function browser() {
  const storage = memoryStorage();
  const newId = countingIds();
  const held = new Set<string>();
  const openTab = () => {
    const mine = new Set<string>();
    const hold: Hold = async (name) => {
      if (held.has(name)) return undefined;
      held.add(name);
      mine.add(name);
      return () => void held.delete(name);
    };
    const deps = { storage, hold, newId };
    return {
      deps,
      claim: () => claimDevice(deps),
      close: () => {
        for (const name of mine) held.delete(name);
      },
    };
  };
  return { storage, openTab };
}

const entry = (id: string): OutboxEntry => ({
  ...{ clientMessageId: id, text: id, queuedMs: 0, state: 'waiting' },
  target: { conversationId: 'c1' },
});
const mutation = (title: string): Omit<Mutation, 'seq'> => ({
  ...{ collection: 'task', id: 'a', baseVersion: 0, hlc: `0000-${title}` },
  ops: [{ op: 'set', path: ['title'], value: title }],
});
const queueOf = (...titles: string[]): MutationQueue =>
  titles.reduce((queue, title) => enqueue(queue, mutation(title)), emptyQueue);
const keep = (
  storage: ReturnType<typeof memoryStorage>,
  key: string,
  queue: MutationQueue,
  said = 'hello',
) => {
  const log = { epoch: 'e1', hashes: { [key]: 'h' } };
  saveChanges(storage, keysOf(key).changes, {
    ...{ queues: { [space]: queue }, logs: { [space]: log }, unsettled: [], home: space },
  });
  saveOutbox(storage, keysOf(key).outbox, [entry(said)]);
};
const titles = (queue: MutationQueue | undefined) =>
  waitingIn(queue === undefined ? {} : { queue }).map(
    ({ ops: [op], seq }) => `${seq}: ${op && 'value' in op && op.value}`,
  );

describe('a tab', () => {
  it('is another device than every tab that is open, also beyond the slots, and a slot keeps its id', async () => {
    const { openTab } = browser();
    const tabs = Array.from({ length: slotsMax + 2 }, openTab);
    const ids: string[] = [];
    for (const tab of tabs) ids.push((await tab.claim()).id);
    expect(new Set(ids).size).toBe(tabs.length);
    tabs[3]?.close();
    expect((await openTab().claim()).id).toBe(ids[3]);
  });

  it('comes back as the device under which something waits', async () => {
    const { storage, openTab } = browser();
    const [first, second] = [openTab(), openTab()];
    await first.claim();
    const { id } = await second.claim();
    keep(storage, `u1.${id}`, queueOf('one'));
    first.close();
    second.close();
    expect((await openTab().claim()).id).toBe(id);
  });

  it('comes back also as a device that had no slot', async () => {
    const { storage, openTab } = browser();
    keep(storage, 'u1.alone', queueOf('one'));
    expect((await openTab().claim()).id).toBe('alone');
    expect((await openTab().claim()).id).not.toBe('alone');
  });

  it('takes over what closed tabs of the same person have left, in order, and leaves the open ones alone', async () => {
    const { storage, openTab } = browser();
    const [stays, goes, mine] = [openTab(), openTab(), openTab()];
    const [open, gone, here] = [await stays.claim(), await goes.claim(), await mine.claim()];
    keep(storage, `u1.${open.id}`, queueOf('open'), 'from open');
    keep(storage, `u1.${gone.id}`, queueOf('two', 'three'), 'from gone');
    keep(storage, `u2.${gone.id}`, queueOf('of another'), 'from another');
    keep(storage, `u1.${here.id}`, queueOf('one'), 'from here');
    goes.close();
    await adoptLeft(mine.deps, 'u1', here.id);
    const { queues, logs } = loadChanges(storage, keysOf(`u1.${here.id}`).changes);
    expect(titles(queues[space])).toEqual(['1: one', '2: two', '3: three']);
    expect(Object.keys(logs[space]?.hashes ?? {})).toHaveLength(2);
    expect(loadOutbox(storage, keysOf(`u1.${here.id}`).outbox).map(({ text }) => text)).toEqual([
      'from here',
      'from gone',
    ]);
    const left = keptWork(storage).filter(({ changes, messages }) => changes + messages > 0);
    expect(left.map(({ user, device }) => `${user}.${device}`).toSorted()).toEqual(
      [`u1.${open.id}`, `u1.${here.id}`, `u2.${gone.id}`].toSorted(),
    );
    expect(loadChanges(storage, keysOf(`u1.${gone.id}`).changes).queues[space]).toMatchObject({ sent: 0 });
  });

  it('leaves what the server may have already under the id it was sent with', async () => {
    const { storage, openTab } = browser();
    const tab = openTab();
    const { id } = await tab.claim();
    keep(storage, 'u1.old', sending(queueOf('sent'), 20).queue);
    await adoptLeft(tab.deps, 'u1', id);
    expect(titles(loadChanges(storage, keysOf('u1.old').changes).queues[space])).toEqual(['1: sent']);
    expect(loadChanges(storage, keysOf(`u1.${id}`).changes).queues[space]).toBeUndefined();
    expect(loadOutbox(storage, keysOf(`u1.${id}`).outbox)).toHaveLength(1);
  });

  it('loses nothing when the browser has no room to take it over', async () => {
    const { storage, openTab } = browser();
    const tab = openTab();
    const { id } = await tab.claim();
    keep(storage, 'u1.old', queueOf('one'));
    storage.full = true;
    await adoptLeft(tab.deps, 'u1', id);
    expect(titles(loadChanges(storage, keysOf('u1.old').changes).queues[space])).toEqual(['1: one']);
    expect(loadOutbox(storage, keysOf('u1.old').outbox)).toHaveLength(1);
  });
});

describe('signing out', () => {
  it('leaves nothing that the person wrote, from any tab, and how far each had counted', () => {
    const storage = memoryStorage();
    keep(storage, 'u1.d1', sending(queueOf('secret one'), 20).queue, 'secret two');
    keep(storage, 'u1.d2', queueOf('secret three'), 'secret four');
    storage.setItem('skein.conflicts.seen.u1', '5');
    storage.setItem('skein.signed-out.u1', '1');
    keep(storage, 'u2.d1', queueOf('of another'));
    forgetPerson(storage, 'u1');
    expect(JSON.stringify([...storage.values])).not.toContain('secret');
    expect([...storage.values.keys()].toSorted()).toEqual([
      ...['skein.changes.u1.d1', 'skein.changes.u1.d2', 'skein.changes.u2.d1'],
      ...['skein.outbox.u2.d1', 'skein.signed-out.u1'],
    ]);
    expect(loadChanges(storage, keysOf('u1.d1').changes).queues[space]).toMatchObject({
      lastSeq: 1,
      waiting: [],
    });
  });
});

describe('holding without locks', () => {
  /** Tabs that hear each other. */
  const tabs = (clock: FakeClock, ...ids: string[]): Hold[] => {
    const channels: Channel[] = [];
    return ids.map((id) => {
      const channel: Channel = {
        onmessage: null,
        postMessage: (data) => {
          for (const one of channels) if (one !== channel) one.onmessage?.({ data } as MessageEvent);
        },
      };
      channels.push(channel);
      return askingHold(channel, id, clock);
    });
  };
  const asked = async (clock: FakeClock, ...holds: (Hold | undefined)[]) => {
    const answers = Promise.all(holds.map(async (hold) => (await hold?.('slot')) !== undefined));
    await settle();
    await clock.advance(1_000);
    return answers;
  };

  it('gives a name to one tab at a time, also when several ask at once', async () => {
    const clock = new FakeClock();
    const [a, b, c] = tabs(clock, 'a', 'b', 'c');
    expect(await asked(clock, c, b, a)).toEqual([false, false, true]);
    expect(await asked(clock, b, c)).toEqual([false, false]);
    expect(clock.pending).toBe(0);
  });

  it('gives it to another once it was released', async () => {
    const clock = new FakeClock();
    const [a, b] = tabs(clock, 'a', 'b');
    const held = a?.('slot');
    await clock.advance(1_000);
    expect(await asked(clock, b)).toEqual([false]);
    (await held)?.();
    expect(await asked(clock, b)).toEqual([true]);
  });
});
