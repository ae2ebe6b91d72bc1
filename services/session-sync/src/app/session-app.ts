import { classicUseCases } from './classic.ts';
import { conflictUseCases } from './conflicts.ts';
import { conversationUseCases } from './conversations.ts';
import { deviceUseCases } from './devices.ts';
import { documentUseCases } from './documents.ts';
import { invitationUseCases } from './invitations.ts';
import { coalesce } from './live/coalesce.ts';
import { type LiveCommand, type LiveFrame, liveStream } from './live/live-stream.ts';
import { membershipNews } from './membership-news.ts';
import { type AppendMessage, appendMessageUseCase, type QueuedTurn } from './messages.ts';
import type { AppParts } from './parts.ts';
import type { RunningTurn } from './ports.ts';
import { readEvents } from './read-events.ts';
import { readSnapshot } from './read-snapshot.ts';
import { readStateHashes } from './read-state-hashes.ts';
import { spaceLimits, spaceUseCases } from './spaces.ts';
import { turnUseCases } from './turns.ts';

/** Spaces whose running turns one query reads. */
const turnsPerQuery = 1_000;

/** Everything this service can be asked to do. */
export interface SessionApp {
  readonly spaces: ReturnType<typeof spaceUseCases>;
  readonly readEvents: ReturnType<typeof readEvents>;
  readonly readSnapshot: ReturnType<typeof readSnapshot>;
  readonly readStateHashes: ReturnType<typeof readStateHashes>;
  readonly conversations: ReturnType<typeof conversationUseCases>;
  readonly appendMessage: AppendMessage;
  readonly turns: ReturnType<typeof turnUseCases>;
  readonly documents: ReturnType<typeof documentUseCases>;
  readonly conflicts: ReturnType<typeof conflictUseCases>;
  readonly invitations: ReturnType<typeof invitationUseCases>;
  readonly devices: ReturnType<typeof deviceUseCases>;
  readonly classic: ReturnType<typeof classicUseCases>;
  /** One gateway's stream. */
  readonly live: (commands: AsyncIterable<LiveCommand>, signal: AbortSignal) => AsyncIterable<LiveFrame>;
}

/** Use cases over their parts. */
export const sessionApp = (
  parts: AppParts,
  { poke }: { readonly poke: (turn: QueuedTurn) => void },
): SessionApp => {
  const turnsOf = coalesce(turnsPerQuery, async (spaces) => {
    const found = new Map<string, RunningTurn[]>();
    for (const turn of await parts.reads.runningTurns(spaces))
      found.set(turn.space, [...(found.get(turn.space) ?? []), turn]);
    return found;
  });
  const news = membershipNews(parts.hub, parts.peers);
  return {
    spaces: spaceUseCases(parts, spaceLimits, news),
    invitations: invitationUseCases(parts, spaceLimits, news),
    conflicts: conflictUseCases(parts),
    readEvents: readEvents(parts),
    readSnapshot: readSnapshot(parts),
    readStateHashes: readStateHashes(parts),
    conversations: conversationUseCases(parts),
    appendMessage: appendMessageUseCase(parts, poke),
    turns: turnUseCases(parts),
    documents: documentUseCases(parts),
    devices: deviceUseCases(parts),
    classic: classicUseCases(parts),
    live: (commands, signal) =>
      liveStream(commands, {
        hub: parts.hub,
        peers: parts.peers,
        reads: parts.reads,
        runningTurns: async (space) => (await turnsOf(space)) ?? [],
        signal,
        departed: (userId, deviceId) => parts.departed(userId, deviceId),
      }),
  };
};
