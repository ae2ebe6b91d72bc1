import { applyEvent, putDocument } from './apply-event.ts';
import type { ServerFrame, StreamStart } from './frames.ts';
import {
  type Applied,
  documentKey,
  type Effect,
  type Position,
  type SessionState,
  withSpace,
} from './model.ts';
import { applySnapshot } from './snapshot.ts';
import { applyToken } from './turns.ts';

/** How long somebody counts as typing after the last sign of it. */
export const typingShownMs = 5_000;

/**
 * The protocol as a function: what a frame makes of the state, and what the driver has to do about it. `atMs`
 * is the time now. Frames may come twice or late; the position decides what is new.
 */
export function applyFrame(state: SessionState, frame: ServerFrame, atMs: number): Applied {
  switch (frame.type) {
    case 'welcome': {
      const followed = frame.streams.filter((stream) => stream.error === undefined);
      const home = state.home ?? (followed[0] ?? frame.streams[0])?.space;
      const greeted: SessionState = {
        ...state,
        ...(home === undefined ? {} : { home }),
        connection: frame.connection,
        user: frame.user,
        device: frame.device,
      };
      const away = frame.streams.filter((stream) => stream.error !== undefined && !forGood(stream.error));
      return {
        state: frame.streams.reduce(startStream, greeted),
        effects: away.map(({ space }) => ({ kind: 'subscribe', space, ...positionOf(state, space) })),
      };
    }
    case 'subscribed':
      return plain(startStream(state, frame.stream));
    case 'unsubscribed': {
      // Only a lost membership ends it; otherwise the server closes or starts the stream again by itself.
      return plain(forGood(frame.reason) ? withoutSpace(state, frame.space) : state);
    }
    case 'event':
      return applyLogged(state, frame);
    case 'token':
      return applyToken(state, frame, atMs);
    case 'snapshot':
      return plain(applySnapshot(state, frame));
    case 'check': {
      const position = state.spaces[frame.space]?.position;
      const same = position?.epoch === frame.epoch && position.offset === frame.offset;
      return same
        ? withEffect(state, { kind: 'check', space: frame.space, stateHash: frame.stateHash })
        : plain(state);
    }
    case 'sync_response': {
      const put = frame.documents.reduce((s, document) => putDocument(s, frame.space, document), state);
      return plain(
        withSpace(put, frame.space, (space) => {
          const gone = new Set(frame.gone.map((g) => documentKey(g.collection, g.id)));
          const documents = Object.fromEntries(
            Object.entries(space.documents).filter(([key]) => !gone.has(key)),
          );
          return { ...space, documents };
        }),
      );
    }
    case 'presence':
      // Nothing of a space that was left a moment ago.
      if (state.spaces[frame.space] === undefined) return plain(state);
      return plain(withSpace(state, frame.space, (space) => ({ ...space, presence: frame.devices })));
    case 'typing':
      if (frame.device === state.device || state.spaces[frame.space] === undefined) return plain(state);
      return plain(
        withSpace(state, frame.space, (space) => ({
          ...space,
          typing: { ...space.typing, [frame.conversationId]: atMs + typingShownMs },
        })),
      );
    case 'status': {
      const turn = state.turns[frame.id];
      if (turn === undefined) return plain(state);
      return plain({ ...state, turns: { ...state.turns, [frame.id]: { ...turn, label: frame.label } } });
    }
    case 'result':
    case 'error':
    case 'pong':
      return plain(state); // Answers to commands; the driver pairs them.
  }
}

/** Whether asking to follow again is useless. */
function forGood(reason: string): boolean {
  return ['forbidden', 'not_found', 'not_member', 'removed', 'unsubscribed'].includes(reason);
}

function withoutSpace(state: SessionState, id: string): SessionState {
  const { [id]: _left, ...spaces } = state.spaces;
  return { ...state, spaces };
}

function positionOf(state: SessionState, space: string): { readonly position?: Position } {
  const position = state.spaces[space]?.position;
  return position === undefined ? {} : { position };
}

/** The head in a welcome is not adopted: only events and a finished snapshot move the position. */
function startStream(state: SessionState, stream: StreamStart): SessionState {
  // Left while nobody was connected here: what was in it is not ours to show any more.
  if (stream.error !== undefined && forGood(stream.error) && stream.space !== state.home)
    return withoutSpace(state, stream.space);
  return withSpace(state, stream.space, ({ partial: _interrupted, refused: _before, ...space }) => {
    if (stream.error !== undefined) return { ...space, refused: stream.error };
    return { ...space, awaiting: !stream.recovered || space.position === undefined };
  });
}

function applyLogged(state: SessionState, frame: Extract<ServerFrame, { type: 'event' }>): Applied {
  const space = state.spaces[frame.space];
  // Before the first snapshot there is nothing to add to, and during one it covers what comes before it.
  if (space?.position === undefined || space.awaiting) return plain(state);
  const { position } = space;
  if (frame.epoch !== position.epoch) {
    const forgotten = withSpace(state, frame.space, (s) => ({ ...s, awaiting: true }));
    return withEffect(forgotten, { kind: 'subscribe', space: frame.space });
  }
  if (frame.offset <= position.offset) return plain(state);
  if (frame.offset > position.offset + 1) {
    const paused = withSpace(state, frame.space, (s) => ({ ...s, awaiting: true }));
    return withEffect(paused, { kind: 'subscribe', space: frame.space, position });
  }
  const applied = applyEvent(state, frame.space, frame.event);
  const moved = { epoch: frame.epoch, offset: frame.offset, lastId: frame.event.id };
  return plain(withSpace(applied, frame.space, (s) => ({ ...s, position: moved })));
}

function plain(state: SessionState): Applied {
  return { state, effects: [] };
}

function withEffect(state: SessionState, effect: Effect): Applied {
  return { state, effects: [effect] };
}
