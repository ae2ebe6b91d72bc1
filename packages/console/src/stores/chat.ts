import {
  changesMax,
  documentKey,
  emptySpace,
  emptyState,
  fields,
  forgetPerson,
  keptWork,
  type Link,
  outboxMax,
  type Session,
  type SessionState,
  waitingIn,
} from '@skein/sync-client';
import type { Op } from '@skein/sync-core';
import { defineStore } from 'pinia';
import { computed, ref, shallowRef, watch } from 'vue';
import type { MessageKey } from '../i18n/en.ts';
import type { Locale } from '../i18n/translate.ts';
import type { Persona, Place } from '../rest/api.ts';
import { useDeps } from './deps.ts';
import { useDocuments } from './documents.ts';
import { createForks } from './forks.ts';
import { useLogin } from './login.ts';
import { type Theme, usePreferences } from './preferences.ts';
import { createSettings } from './settings.ts';
import { byRecency, sessionSettings, shownOutbox, titleOf } from './views.ts';

/** A message's text may have this many bytes (the contract's 64 KB). */
const textMaxBytes = 64 * 1024;

/** What can be open in place of a conversation. */
export const panels = ['tasks', 'conflicts'] as const;
export type Panel = (typeof panels)[number];
/** The title of a panel. */
export const panelTitle = {
  tasks: 'tasks',
  conflicts: 'conflicts',
} as const satisfies Record<Panel, MessageKey>;

/** Messages that could not be loaded are asked for again after this long, while they are on screen. */
const loadAgainMs = 5_000;

/** The session as the page draws it. */
export const useChat = defineStore('chat', () => {
  const deps = useDeps();
  const login = useLogin();
  const preferences = usePreferences();

  let session: Session | undefined;
  const state = shallowRef<SessionState>(emptyState);
  const link = shallowRef<Link>({ phase: 'idle' });
  const personas = shallowRef<readonly Persona[]>([]);
  /** Something a person should read; one at a time, the newest wins. */
  const notice = ref('');
  /** The open conversation; `undefined` is a new one, known by `draft` until it has been made. */
  const current = ref<string | undefined>(readHash().conversation);
  /** What is open in place of the conversation. */
  const panel = ref<Panel | undefined>(readHash().panel);
  const draft = ref(deps.newId());
  /** The person chose what is open; otherwise the newest conversation opens by itself. */
  let chosen = current.value !== undefined;

  const space = computed(() => state.value.spaces[state.value.home ?? ''] ?? emptySpace);
  const conversations = computed(() => byRecency(space.value));
  const conversation = computed(() =>
    current.value === undefined ? undefined : space.value.conversations[current.value],
  );
  const waiting = computed(() => shownOutbox(state.value.outbox, current.value, draft.value));
  const runningTurn = computed(() =>
    Object.keys(state.value.turns).find((id) => state.value.turns[id]?.conversationId === current.value),
  );
  /** As the person left them, whether or not the server knows. */
  const documents = useDocuments(state);
  const chosenSettings = computed(() => sessionSettings({ documents: documents.value }));
  const persona = computed(() => chosenSettings.value.persona ?? personas.value[0]?.id ?? '');
  const memory = computed(() => chosenSettings.value.memoryEnabled);
  /** How many changes the server has not answered. */
  const unanswered = computed(() => waitingIn(state.value.queues).length);
  /** The own space is known here, so that things in it can be changed, connected or not. */
  const ready = computed(() => space.value.position !== undefined);
  const personaName = (id: string): string => personas.value.find((p) => p.id === id)?.name ?? id;

  // A frame a token would draw far more often than a screen shows; hidden pages draw now and then.
  let drawing = false;
  const onChange = (next: SessionState): void => {
    latest = next;
    if (drawing) return;
    drawing = true;
    const draw = (): void => {
      drawing = false;
      state.value = latest;
    };
    if (document.visibilityState === 'visible') requestAnimationFrame(draw);
    else setTimeout(draw, 200);
  };
  let latest: SessionState = emptyState;

  const open = (id: string | undefined): void => {
    chosen = true;
    panel.value = undefined;
    current.value = id;
    if (id === undefined) draft.value = deps.newId();
  };

  async function start(): Promise<void> {
    const who = login.user;
    if (who === undefined || session !== undefined) return;
    const opened = await deps.openSession(who.id, {
      onChange,
      onLink: (next) => {
        link.value = next;
        if (next.phase === 'stopped' && next.why === 'sign_in') {
          close(login.signedOut(who.id));
          login.expired();
        }
        if (next.phase === 'live' && personas.value.length === 0) void loadPersonas();
      },
      onDraft: (made, id) => {
        if (current.value === undefined && draft.value === made) current.value = id;
      },
      onRefused: (code) => {
        notice.value = preferences.why({ code });
      },
      onUnkept: () => {
        notice.value = preferences.t('notKept');
      },
    });
    // Signed out, or opened once more, in the meantime.
    if (login.user?.id !== who.id || session !== undefined) return;
    session = opened;
    const left = session.state.outbox.find((entry) => 'draft' in entry.target)?.target;
    if (left !== undefined && 'draft' in left && current.value === undefined) {
      draft.value = left.draft;
      chosen = true;
    }
    session.start();
  }

  /** Ends the session here. `forget` removes everything that this browser keeps of the person. */
  function close(forget: boolean): void {
    session?.stop({ forget });
    session = undefined;
    if (forget && login.user !== undefined) forgetPerson(deps.storage, login.user.id);
    settings.clear();
    state.value = latest = emptyState;
    link.value = { phase: 'idle' };
    current.value = undefined;
    panel.value = undefined;
    draft.value = deps.newId();
    chosen = false;
    notice.value = '';
  }

  async function loadPersonas(): Promise<void> {
    try {
      personas.value = await deps.api.personas();
    } catch {
      // The picker stays as it is; the next welcome asks again.
    }
  }

  async function attempt(run: () => Promise<unknown>): Promise<boolean> {
    try {
      await run();
      return true;
    } catch (error) {
      notice.value = preferences.why(error);
      return false;
    }
  }

  /** Sends a text to the open conversation; `false` when it was not taken and should stay in the box. */
  function say(text: string): boolean {
    if (session === undefined) return false;
    if (new TextEncoder().encode(text).length > textMaxBytes) {
      notice.value = preferences.t('tooLong');
      return false;
    }
    const target = current.value === undefined ? { draft: draft.value } : { conversationId: current.value };
    chosen = true;
    const taken = session.say(text, target);
    if (!taken) notice.value = preferences.t('outboxFull', { max: outboxMax });
    return taken;
  }

  /** Changes a document of the own space, now or once there is a connection. `false`: it was not taken. */
  function change(collection: string, id: string, ...ops: readonly Op[]): boolean {
    const taken = session?.change({ collection, id, ops }) ?? false;
    if (!taken) notice.value = preferences.t('changesFull', { max: changesMax });
    return taken;
  }

  const settings = createSettings(
    () => ready.value,
    (of, values) => {
      const ops = Object.entries(values).map(([key, value]): Op => ({ op: 'set', path: [key], value }));
      change(of, 'current', ...ops);
    },
  );

  /** How much of this person's the server has not, from any tab of this browser. */
  function unsent(): number {
    const kept = keptWork(deps.storage).filter(({ user }) => user === login.user?.id);
    const own = waitingIn(latest.queues).length + latest.outbox.filter((one) => one.state !== 'sent').length;
    return Math.max(
      own,
      kept.reduce((sum, { changes, messages }) => sum + changes + messages, 0),
    );
  }

  /** Does something to the open conversation, over REST. */
  async function atConversation(act: (at: Place) => Promise<void>): Promise<void> {
    const { home, device } = state.value;
    if (home === undefined || current.value === undefined) return;
    const at = { space: home, conversation: current.value, device };
    await attempt(() => act(at));
  }

  /** Goes on from a message in a conversation of its own, and opens it. */
  const forks = createForks(deps.newId);
  const fork = (messageId: string): Promise<void> =>
    atConversation((at) =>
      forks.make(messageId, async (key) => {
        const title = conversation.value === undefined ? '' : titleOf(conversation.value);
        open(await deps.api.fork(at, messageId, title, key));
      }),
    );

  watch(
    [ready, () => documents.value[documentKey('user_preferences', 'current')]?.value],
    ([known, value]) => {
      preferences.adopt(settings.over('user_preferences', fields(value)));
      if (known) settings.known();
    },
  );

  watch(conversations, (list) => {
    const known = current.value !== undefined && space.value.conversations[current.value] !== undefined;
    if (chosen && (known || current.value === undefined)) return;
    if (space.value.position !== undefined && !known) current.value = chosen ? current.value : list[0]?.id;
  });
  watch([current, panel], ([id, shown]) => {
    const path = shown ?? (id === undefined ? undefined : `c/${encodeURIComponent(id)}`);
    const hash = path === undefined ? '' : `#/${path}`;
    if (location.hash !== hash) history.replaceState(null, '', hash || location.pathname);
  });
  /** The open conversation when its messages are missing and there is a connection to get them over. */
  const missing = computed(() =>
    link.value.phase === 'live' && conversation.value !== undefined && conversation.value.history !== 'loaded'
      ? conversation.value.id
      : undefined,
  );
  watch(missing, (id) => {
    if (id !== undefined) void loadNewest(id);
  });

  async function loadNewest(id: string): Promise<void> {
    const loaded = await attempt(async () => session?.loadMessages(id, false));
    if (loaded) return;
    setTimeout(() => {
      if (missing.value === id) void loadNewest(id);
    }, loadAgainMs);
  }

  return {
    state,
    link,
    personas,
    notice,
    current,
    panel,
    draft,
    space,
    conversations,
    conversation,
    waiting,
    runningTurn,
    documents,
    unanswered,
    ready,
    persona,
    memory,
    personaName,
    open,
    start,
    close,
    say,
    attempt,
    change,
    choosePersona: (id: string) => settings.put('session', { persona: id }),
    switchMemory: (on: boolean) => settings.put('session', { memoryEnabled: on }),
    fork,
    forking: forks.busy,
    unsent,
    rename: (title: string) => atConversation((at) => deps.api.rename(at, title)),
    setTheme: (to: Theme) => {
      preferences.setTheme(to);
      settings.put('user_preferences', { theme: to });
    },
    setLocale: (to: Locale) => {
      preferences.setLocale(to);
      settings.put('user_preferences', { locale: to });
    },
    dismiss: (key: string) => session?.dismiss(key),
    loadOlder: (id: string) => attempt(async () => session?.loadMessages(id, true)),
    stopAnswer: async () => {
      const turnId = runningTurn.value;
      if (turnId !== undefined) await attempt(async () => session?.cancel(turnId));
    },
    retry: (id: string) => session?.retry(id),
    discard: (id: string) => session?.discard(id),
    typing: () => {
      if (current.value !== undefined) session?.typing(current.value);
    },
    connectNow: () => (link.value.phase === 'stopped' ? session?.start() : session?.online(true)),
    online: (is: boolean) => session?.online(is),
    save: () => session?.save(),
  };
});

function readHash(): { readonly conversation?: string; readonly panel?: Panel } {
  const [, place = '', id] = /^#\/([a-z]+)(?:\/([^/]+))?$/.exec(location.hash) ?? [];
  const panel = panels.find((one) => one === place);
  if (panel !== undefined) return { panel };
  try {
    return place === 'c' && id !== undefined ? { conversation: decodeURIComponent(id) } : {};
  } catch {
    return {}; // A mangled link opens the newest conversation.
  }
}
