import type { SnapshotFrame } from './frames.ts';
import {
  type ChatMessage,
  type Conversation,
  documentKey,
  type PartialSnapshot,
  type SessionState,
  type SpaceState,
  withSpace,
} from './model.ts';

/**
 * Collects one part; the last one replaces the space's documents and list of conversations and sets the
 * position. A part out of order throws the collected ones away: an interrupted snapshot starts again at part 1.
 */
export function applySnapshot(state: SessionState, frame: SnapshotFrame): SessionState {
  const before = state.spaces[frame.space]?.partial;
  const collected = collect(before, frame);
  if (collected === undefined || collected.got < collected.parts) {
    return withSpace(state, frame.space, ({ partial: _dropped, ...space }) => ({
      ...space,
      awaiting: true,
      ...(collected === undefined ? {} : { partial: collected }),
    }));
  }
  // Another epoch is another log: of what was said in the old one some may never have been, or have been erased.
  const { epoch = collected.epoch } = state.spaces[frame.space]?.position ?? {};
  const sameLog = epoch === collected.epoch;
  const alive = new Set(
    Object.values(state.turns)
      .filter((turn) => turn.connection === state.connection && (sameLog || turn.space !== frame.space))
      .map((turn) => turn.messageId),
  );
  const next = withSpace(state, frame.space, (space) =>
    replaced(sameLog ? space : { ...space, conversations: {} }, collected, alive),
  );
  return {
    ...next,
    turns: Object.fromEntries(Object.entries(state.turns).filter(([, turn]) => alive.has(turn.messageId))),
    // Accepted messages are in the history the snapshot points to; their events will not come again.
    outbox: state.outbox.filter((entry) => entry.state !== 'sent'),
  };
}

function collect(before: PartialSnapshot | undefined, frame: SnapshotFrame): PartialSnapshot | undefined {
  const continues =
    before !== undefined &&
    frame.part === before.got + 1 &&
    frame.epoch === before.epoch &&
    frame.offset === before.offset;
  if (frame.part !== 1 && !continues) return undefined;
  const start = frame.part === 1 ? undefined : before;
  return {
    epoch: frame.epoch,
    offset: frame.offset,
    parts: Math.max(1, frame.parts),
    got: frame.part,
    documents: [...(start?.documents ?? []), ...frame.documents],
    conversations: [...(start?.conversations ?? []), ...frame.conversations],
  };
}

function replaced(space: SpaceState, snapshot: PartialSnapshot, alive: ReadonlySet<string>): SpaceState {
  const { partial: _done, refused: _follows, ...rest } = space;
  const ranked = snapshot.conversations.length;
  const conversations = snapshot.conversations.map((listed, rank): [string, Conversation] => {
    const known = space.conversations[listed.id];
    const messages = (known?.messages ?? []).filter((m) => m.state !== 'streaming' || alive.has(m.id));
    const newest = messages.findLast((message: ChatMessage) => message.state !== 'streaming');
    const upToDate = known?.history === 'loaded' && (newest?.id ?? '') === listed.head;
    const empty = listed.count === 0;
    return [
      listed.id,
      {
        id: listed.id,
        title: listed.title,
        count: listed.count,
        // The list is newest first; without times the rank keeps that order below everything timed.
        updatedMs: known?.updatedMs || ranked - rank,
        messages,
        history: upToDate || empty ? 'loaded' : known === undefined ? 'none' : 'stale',
        ...(upToDate && known.older !== undefined ? { older: known.older } : {}),
      },
    ];
  });
  return {
    ...rest,
    awaiting: false,
    position: { epoch: snapshot.epoch, offset: snapshot.offset },
    documents: Object.fromEntries(snapshot.documents.map((d) => [documentKey(d.collection, d.id), d])),
    conversations: Object.fromEntries(conversations),
  };
}
