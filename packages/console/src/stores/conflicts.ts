import { documentKey } from '@skein/sync-client';
import { defineStore } from 'pinia';
import { computed, ref, shallowRef, watch } from 'vue';
import type { Conflict } from '../rest/conflict.ts';
import { useChat } from './chat.ts';
import { useDeps } from './deps.ts';
import { useLogin } from './login.ts';
import { paced } from './paced.ts';

/** While events come, the list is read so often when it is on screen, */
const openEveryMs = 2_000;
/** and so often when only the number of new ones is. */
const closedEveryMs = 5_000;

/** The conflicts of the own space, read again whenever something may have changed them. */
export const useConflicts = defineStore('conflicts', () => {
  const { api, clock, storage } = useDeps();
  const chat = useChat();
  const login = useLogin();
  const all = shallowRef<readonly Conflict[]>([]);
  /** Whether the list was ever read. */
  const known = ref(false);
  /** Those that settled by themselves up to then have been looked at. */
  const seenMs = ref(0);
  const seenKey = computed(() => `skein.conflicts.seen.${login.user?.id}`);
  watch(
    seenKey,
    (key) => {
      seenMs.value = Number(storage.getItem(key) ?? 0);
    },
    { immediate: true },
  );
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
    storage.setItem(seenKey.value, String(newest));
  }

  const reading = paced(clock, () => void read());
  watch(
    [
      () => (chat.link.phase === 'live' ? chat.state.home : undefined),
      () => chat.state.unsettled,
      () => chat.space.conflictNews,
      () => chat.panel,
    ],
    ([at, unsettled, , panel], [atBefore, unsettledBefore]) => {
      look();
      // After a new line, or when a change of one's own met another, the number should be right soon.
      const soon = at !== atBefore || unsettled !== unsettledBefore || panel === 'conflicts';
      if (at !== undefined) reading.ask(soon ? openEveryMs : closedEveryMs);
    },
    { immediate: true },
  );
  watch(
    () => chat.state.home,
    (home) => {
      if (home !== undefined) return;
      reading.stop();
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
