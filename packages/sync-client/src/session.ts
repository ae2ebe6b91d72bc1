import type { Mutation, MutationResult } from '@skein/sync-core';
import { applyFrame } from './apply-frame.ts';
import { loadCache, loadOutbox, saveCache, saveOutbox } from './cache.ts';
import {
  type Change,
  counted,
  createChanges,
  keptParts,
  loadChanges,
  saveChanges,
  stillSettling,
  type Written,
} from './changes.ts';
import { type Connection, createConnection, type Link } from './connection.ts';
import { str } from './decode.ts';
import { createDelivery } from './delivery.ts';
import type { ServerFrame } from './frames.ts';
import { keysOf } from './kept.ts';
import { type MessagePage, mergePage } from './messages.ts';
import { type Effect, type SessionState, withConversation, withSpace } from './model.ts';
import { draftTarget, enqueue, interrupted, mark, remove } from './outbox.ts';
import type { Clock, Device, GetAccess, KeyValue, OpenSocket } from './ports.ts';
import { CommandError } from './requests.ts';
import { jitteredMs } from './retry.ts';
import { type Sha256, stateHash } from './state-hash.ts';
import { applyTurnReading, type TurnReading } from './turns.ts';

/** The REST calls the session makes. All reject with an error that has `code` and `retryable`. */
export interface SessionRest {
  turn(turnId: string): Promise<TurnReading>;
  messages(space: string, conversationId: string, cursor: string | undefined): Promise<MessagePage>;
  /** Makes a conversation; the same `key` makes it once. Gives its id. */
  createConversation(space: string, title: string, key: string): Promise<string>;
}

/** What a session needs from outside. */
export interface SessionDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly newId: () => string;
  readonly openSocket: OpenSocket;
  readonly access: GetAccess;
  /** The person whose session it is. */
  readonly user: string;
  readonly rest: SessionRest;
  readonly device: Device;
  /** Takes another id for this device, because somebody else has this one; gives the new one and its `key`. */
  readonly rename: () => { readonly device: Device; readonly key: string };
  /** Lives as long as the tab: the state with its positions. */
  readonly tab: KeyValue;
  /** Lives on: messages and changes that wait to be sent. */
  readonly kept: KeyValue;
  /** Names what is kept; one per person and device. */
  readonly key: string;
  /** Absent where the page has no secure context: state hashes are then not compared. */
  readonly sha256?: Sha256;
  readonly onChange: (state: SessionState) => void;
  readonly onLink: (link: Link) => void;
  /** The conversation a draft stood for has been made. */
  readonly onDraft: (draft: string, conversationId: string) => void;
  /** The server has said what became of a change. */
  readonly onSettled?: (space: string, mutation: Mutation, result: MutationResult) => void;
  /** The browser refuses to keep what waits: it is lost with the page. Told once. */
  readonly onUnkept: () => void;
  /** Changes were refused in a way the protocol knows nothing of; they stay and are sent again. */
  readonly onRefused: (code: string) => void;
}

/** A person's session on this device: state that follows the server's, and the commands to change it. */
export interface Session {
  readonly state: SessionState;
  /** Shows what was kept and connects. */
  start(): void;
  /** Disconnects. `forget` also deletes what was kept here (sign out). */
  stop(options?: { readonly forget: boolean }): void;
  online(is: boolean): void;
  /** Queues a message; it is sent at once when live, in order with the others later. `false`: the outbox is full. */
  say(text: string, to: { readonly conversationId: string } | { readonly draft: string }): boolean;
  retry(clientMessageId: string): void;
  discard(clientMessageId: string): void;
  /**
   * Changes a document of a space (the own one unless said): shown at once, sent in order when live, kept until then.
   * `false`: too many wait, or nothing is known of the space yet.
   */
  change(change: Change, space?: string): boolean;
  /** Takes a change that is not in as it was meant from the list: the person has read it. */
  dismiss(key: string): void;
  /** Rejects with `CommandError`: offline, refused or unanswered. */
  cancel(turnId: string): Promise<void>;
  /** Says that the person is typing; lost without harm. */
  typing(conversationId: string): void;
  /** Loads the newest messages, or with `older` the page before the oldest we have. */
  loadMessages(conversationId: string, older: boolean): Promise<void>;
  /** Writes the kept state now; the page calls it when it is hidden. */
  save(): void;
}

/** How long changes may go unsaved and unacknowledged while the page is in use. */
const saveEveryMs = 5_000;
/** What the API calls one's own space until its id is known. */
const personalAlias = 'personal';

/** Opens a session over its ports. Nothing happens before `start`. */
export function createSession(deps: SessionDeps): Session {
  let { device } = deps;
  let keys = keysOf(deps.key);
  let state: SessionState = {
    ...loadCache(deps.tab, keys.state),
    outbox: loadOutbox(deps.kept, keys.outbox),
    ...loadChanges(deps.kept, keys.changes),
  };
  let live = false;
  let toldUnkept = false;
  let cancelSave: (() => void) | undefined;
  const acknowledged = new Map<string, number>();
  const fetchingTurns = new Set<string>();
  const loading = new Set<string>();

  const connection: Connection = createConnection({ ...deps, hello, onFrame, onLink });
  const changes = createChanges({
    ...{ clock: deps.clock, random: deps.random, newId: deps.newId },
    ...{ settled: deps.onSettled ?? (() => {}), refused: deps.onRefused, rename },
    device: () => device.id,
    read: () => state,
    write: (written: Partial<Written>) => set({ ...state, ...written }),
    spaceOf: (space) => state.spaces[space],
    send: (frame) => void connection.send(frame),
  });

  const delivery = createDelivery({
    ...{ clock: deps.clock, random: deps.random, requests: connection.requests, here, onDraft: deps.onDraft },
    live: () => live,
    reached: () => state.spaces[here()]?.position?.offset ?? -1,
    read: () => state.outbox,
    write: (outbox) => set({ ...state, outbox }),
    createConversation: deps.rest.createConversation,
  });

  function hello() {
    const followed = Object.entries(state.spaces).map(([space, s]) => ({ space, ...s.position }));
    return {
      device,
      streams: followed.length > 0 ? followed : [{ space: personalAlias }],
    };
  }

  function set(next: SessionState): void {
    if (next === state) return;
    const before = state;
    state = { ...next, settling: stillSettling(next.settling, next.spaces) };
    if (state.outbox !== before.outbox) keepOutbox();
    if (keptParts.some((part) => state[part] !== before[part])) keepChanges();
    cancelSave ??= deps.clock.after(saveEveryMs, () => {
      acknowledge();
      save();
    });
    deps.onChange(state);
  }

  function keepOutbox(): void {
    if (!saveOutbox(deps.kept, keys.outbox, state.outbox)) unkept();
  }

  function keepChanges(): void {
    const { queues, logs, unsettled, home } = state;
    const all = { queues, logs, unsettled, ...(home === undefined ? {} : { home }) };
    if (!saveChanges(deps.kept, keys.changes, all)) unkept();
  }

  function unkept(): void {
    if (toldUnkept) return;
    toldUnkept = true;
    deps.onUnkept();
  }

  /** Goes on as another device, with everything this one has. */
  function rename(): void {
    const renamed = deps.rename();
    const old = keys;
    device = renamed.device;
    acknowledged.clear();
    keys = keysOf(renamed.key);
    keepOutbox();
    keepChanges();
    save();
    if (old.changes !== keys.changes) forget(old);
    connection.stop();
    connection.start();
  }

  function forget({ state: ofTab, outbox, changes: ofChanges }: typeof keys): void {
    deps.tab.removeItem(ofTab);
    deps.kept.removeItem(outbox);
    deps.kept.removeItem(ofChanges);
  }

  /** Tells how far everything is here; the server lets go of what it keeps for this device. */
  function acknowledge(): void {
    for (const [id, { position }] of Object.entries(state.spaces)) {
      if (position === undefined || acknowledged.get(id) === position.offset) continue;
      if (connection.send({ type: 'ack', space: id, offset: position.offset }))
        acknowledged.set(id, position.offset);
    }
  }

  function save(): void {
    cancelSave?.();
    cancelSave = undefined;
    saveCache(deps.tab, keys.state, state);
  }

  function onFrame(frame: ServerFrame): void {
    const { state: next, effects } = applyFrame(state, frame, deps.clock.now());
    set(next);
    for (const effect of effects) void run(effect);
    changes.hear(frame);
    if (frame.type === 'welcome') delivery.flush();
  }

  function onLink(link: Link): void {
    live = link.phase === 'live';
    if (!live) {
      changes.disconnected();
      set({ ...state, outbox: interrupted(state.outbox) });
    }
    deps.onLink(link);
  }

  async function run(effect: Effect): Promise<void> {
    if (effect.kind === 'subscribe') return follow(effect, 0);
    if (effect.kind === 'check') return check(effect.space, effect.stateHash);
    if (fetchingTurns.has(effect.turnId)) return;
    fetchingTurns.add(effect.turnId);
    try {
      const reading = await deps.rest.turn(effect.turnId);
      // What was there before the answer came is not the state any more.
      set(applyTurnReading(state, reading));
    } catch {
      // The end of the turn brings the whole text; until then the next token asks again.
    } finally {
      fetchingTurns.delete(effect.turnId);
    }
  }

  /** Follows a space from a position, again and again until it works or the connection is gone. */
  async function follow(from: Extract<Effect, { kind: 'subscribe' }>, attempt: number): Promise<void> {
    const before = state.connection;
    try {
      await connection.requests.ask({ type: 'subscribe', space: from.space, ...from.position });
    } catch (error) {
      if (!(error instanceof CommandError) || !error.retryable) return;
      deps.clock.after(error.retryAfterMs ?? 1_000 + jitteredMs(attempt, deps.random()), () => {
        if (live && state.connection === before) void follow(from, attempt + 1);
      });
    }
  }

  async function check(space: string, theirs: string): Promise<void> {
    const before = state.spaces[space];
    if (deps.sha256 === undefined || before === undefined || !theirs.startsWith('1:')) return;
    const ours = await stateHash(Object.values(before.documents), deps.sha256);
    // Documents that changed while hashing make the comparison void; the next check decides.
    if (ours === theirs || state.spaces[space]?.documents !== before.documents) return;
    const versions = Object.values(before.documents).map(({ collection, id, version, hash }) => ({
      collection,
      id,
      version,
      hash,
    }));
    connection.send({ type: 'sync_request', space, versions });
  }

  function here(): string {
    return state.home ?? personalAlias;
  }

  return {
    get state() {
      return state;
    },
    start: () => {
      deps.onChange(state);
      connection.start();
    },
    stop: (options) => {
      connection.stop();
      delivery.stop();
      save();
      cancelSave?.();
      if (options?.forget === true) {
        forget(keys);
        if (Object.keys(state.queues).length > 0) saveChanges(deps.kept, keys.changes, counted(state.queues));
      }
    },
    online: (is) => connection.online(is),
    say: (text, to) => {
      const target = 'draft' in to ? draftTarget(state.outbox, to.draft, text) : to;
      const outbox = enqueue(state.outbox, {
        clientMessageId: deps.newId(),
        target,
        text,
        queuedMs: deps.clock.now(),
        state: 'waiting',
      });
      if (outbox === undefined) return false;
      set({ ...state, outbox });
      delivery.flush();
      return true;
    },
    retry: (id) => {
      set({ ...state, outbox: mark(state.outbox, id, 'waiting') });
      delivery.flush();
    },
    discard: (id) => set({ ...state, outbox: remove(state.outbox, id) }),
    cancel: async (turnId) => {
      if (!live) throw new CommandError('offline', 'Not connected', true);
      await connection.requests.ask({ type: 'cancel', turnId });
    },
    change: (change, space = state.home) => space !== undefined && changes.change(space, change),
    dismiss: (key) => set({ ...state, unsettled: state.unsettled.filter((one) => one.key !== key) }),
    typing: (conversationId) => void connection.send({ type: 'typing', space: here(), conversationId }),
    loadMessages: async (conversationId, older) => {
      const before = state.spaces[here()]?.conversations[conversationId];
      if (loading.has(conversationId) || (older && before?.older === undefined)) return;
      loading.add(conversationId);
      try {
        const page = await deps.rest.messages(here(), conversationId, older ? before?.older : undefined);
        const space = here();
        const merged = withSpace(state, space, (s) =>
          withConversation(s, conversationId, (c) => mergePage(c, page, !older)),
        );
        const arrived = new Set(page.items.map((item) => str(item.clientMessageId)));
        set({
          ...merged,
          outbox: merged.outbox.filter((e) => e.state !== 'sent' || !arrived.has(e.clientMessageId)),
        });
      } finally {
        loading.delete(conversationId);
      }
    },
    save,
  };
}
