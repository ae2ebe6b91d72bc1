import { defineStore } from 'pinia';
import { computed, ref, shallowRef, watch } from 'vue';
import type { Conflict } from '../rest/conflict.ts';
import { documentKey } from '../sync/model.ts';
import { useChat } from './chat.ts';
import { useDeps } from './deps.ts';

/** Events come in bunches; the list is read once for all that come within this time. */
const gatherMs = 300;
const seenKey = 'skein.conflicts.seen';

/** The conflicts of the own space, read again whenever something may have changed them. */
export const useConflicts = defineStore('conflicts', () => {
  const { api, storage } = useDeps();
  const chat = useChat();
  const all = shallowRef<readonly Conflict[]>([]);
  /** Whether the list was ever read. */
  const known = ref(false);
  /** Those that settled by themselves up to then have been looked at. */
  const seenMs = ref(Number(storage.getItem(seenKey) ?? 0));
  const busy = ref('');

  const isNew = (one: Conflict): boolean =>
    one.state === 'open' || (one.state === 'settled' && one.createdMs > seenMs.value);
  const news = computed(() => all.value.filter(isNew).length);
  const open = computed(() => all.value.filter(({ state }) => state === 'open'));
  const settled = computed(() => all.value.filter(({ state }) => state === 'settled'));
  const ended = computed(() => all.value.filter(({ state }) => state === 'resolved' || state === 'undone'));

  async function read(): Promise<void> {
    const { home } = chat.state;
    if (home === undefined || chat.link.phase !== 'live') return;
    try {
      const items = await api.conflicts(home);
      if (chat.state.home !== home) return;
      all.value = items;
      known.value = true;
      look();
    } catch {
      // The next event, or the next connection, asks again.
    }
  }

  /** What is on screen has been looked at. */
  function look(): void {
    const newest = Math.max(0, ...all.value.map(({ createdMs }) => createdMs));
    if (chat.panel !== 'conflicts' || newest <= seenMs.value) return;
    seenMs.value = newest;
    storage.setItem(seenKey, String(newest));
  }

  let reading: ReturnType<typeof setTimeout> | undefined;
  watch(
    [() => chat.link.phase, () => chat.space.conflictNews, () => chat.state.unsettled, () => chat.panel],
    () => {
      look();
      clearTimeout(reading);
      reading = setTimeout(() => void read(), gatherMs);
    },
    { immediate: true },
  );
  watch(
    () => chat.state.home,
    (home) => {
      if (home !== undefined) return;
      all.value = [];
      known.value = false;
    },
  );

  async function settle(conflict: Conflict, act: (home: string) => Promise<void>): Promise<void> {
    const { home } = chat.state;
    if (home === undefined || busy.value !== '') return;
    busy.value = conflict.id;
    await chat.attempt(() => act(home));
    await read();
    busy.value = '';
  }

  return {
    ...{ all, known, busy, news, open, settled, ended },
    resolve: (conflict: Conflict, choice: 'server' | 'client') => {
      const { collection, documentId } = conflict;
      const version = chat.space.documents[documentKey(collection, documentId)]?.version ?? 0;
      return settle(conflict, (home) => api.resolve(home, conflict.id, choice, version, chat.state.device));
    },
    undo: (conflict: Conflict) => settle(conflict, (home) => api.undo(home, conflict.id, chat.state.device)),
  };
});
