import { defineStore } from 'pinia';
import { computed, ref, shallowRef, watch } from 'vue';
import type { Persona } from '../rest/api.ts';
import type { Link } from '../sync/connection.ts';
import { emptySpace, emptyState, type SessionState } from '../sync/model.ts';
import { outboxMax } from '../sync/outbox.ts';
import type { Session } from '../sync/session.ts';
import { useDeps } from './deps.ts';
import { useLogin } from './login.ts';
import { usePreferences } from './preferences.ts';
import { byRecency, sessionSettings, shownOutbox } from './views.ts';

/** A message's text may have this many bytes (the contract's 64 KB). */
const textMaxBytes = 64 * 1024;

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
  const current = ref<string | undefined>(readHash());
  const draft = ref(deps.newId());
  /** The person chose what is open; otherwise the newest conversation opens by itself. */
  let chosen = current.value !== undefined;
  const pendingPersona = ref<string>();
  const pendingMemory = ref<boolean>();

  const space = computed(() => state.value.spaces[state.value.home ?? ''] ?? emptySpace);
  const conversations = computed(() => byRecency(space.value));
  const conversation = computed(() =>
    current.value === undefined ? undefined : space.value.conversations[current.value],
  );
  const waiting = computed(() => shownOutbox(state.value.outbox, current.value, draft.value));
  const runningTurn = computed(() =>
    Object.keys(state.value.turns).find((id) => state.value.turns[id]?.conversationId === current.value),
  );
  const settings = computed(() => sessionSettings(space.value));
  const persona = computed(
    () => pendingPersona.value ?? settings.value.persona ?? personas.value[0]?.id ?? '',
  );
  const memory = computed(() => pendingMemory.value ?? settings.value.memoryEnabled);
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
    current.value = id;
    if (id === undefined) draft.value = deps.newId();
  };

  async function start(): Promise<void> {
    const who = login.user;
    if (who === undefined || session !== undefined) return;
    session = await deps.openSession(who.id, {
      onChange,
      onLink: (next) => {
        link.value = next;
        if (next.phase === 'stopped' && next.why === 'sign_in') {
          close(false);
          login.expired();
        }
        if (next.phase === 'live' && personas.value.length === 0) void loadPersonas();
      },
      onDraft: (made, id) => {
        if (current.value === undefined && draft.value === made) current.value = id;
      },
    });
    const left = session.state.outbox.find((entry) => 'draft' in entry.target)?.target;
    if (left !== undefined && 'draft' in left && current.value === undefined) {
      draft.value = left.draft;
      chosen = true;
    }
    session.start();
  }

  function close(forget: boolean): void {
    session?.stop({ forget });
    session = undefined;
    state.value = latest = emptyState;
    link.value = { phase: 'idle' };
    current.value = undefined;
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

  async function choosePersona(id: string): Promise<void> {
    pendingPersona.value = id;
    await attempt(async () => session?.choosePersona(id));
    pendingPersona.value = undefined;
  }

  async function switchMemory(on: boolean): Promise<void> {
    pendingMemory.value = on;
    await attempt(async () => session?.switchMemory(on));
    pendingMemory.value = undefined;
  }

  watch(conversations, (list) => {
    const known = current.value !== undefined && space.value.conversations[current.value] !== undefined;
    if (chosen && (known || current.value === undefined)) return;
    if (space.value.position !== undefined && !known) current.value = chosen ? current.value : list[0]?.id;
  });
  watch(current, (id) => {
    const hash = id === undefined ? '' : `#/c/${encodeURIComponent(id)}`;
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
    draft,
    space,
    conversations,
    conversation,
    waiting,
    runningTurn,
    persona,
    memory,
    personaName,
    open,
    start,
    close,
    say,
    choosePersona,
    switchMemory,
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

function readHash(): string | undefined {
  const match = /^#\/c\/([^/]+)$/.exec(location.hash);
  try {
    return match?.[1] === undefined ? undefined : decodeURIComponent(match[1]);
  } catch {
    return undefined; // A mangled link opens the newest conversation.
  }
}
