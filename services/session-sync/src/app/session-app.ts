import { AppError } from '@skein/contracts';
import type { Clock } from '@skein/service-kit';
import type { Sha256 } from '@skein/sync-core';
import { classicUseCases } from './classic.ts';
import { conversationUseCases } from './conversations.ts';
import { deviceUseCases } from './devices.ts';
import { documentUseCases } from './documents.ts';
import { coalesce } from './live/coalesce.ts';
import type { LiveHub, LivePeers } from './live/live-hub.ts';
import { type LiveCommand, type LiveFrame, liveStream } from './live/live-stream.ts';
import { appendMessageUseCase, type QueuedTurn } from './messages.ts';
import type { SpaceNames } from './personal-space.ts';
import type {
  Call,
  DeviceStore,
  DocumentReads,
  History,
  Ids,
  RunningTurn,
  Snapshots,
  SpaceMaker,
  SpaceReads,
  SpaceView,
} from './ports.ts';
import { readEvents } from './read-events.ts';
import { readSnapshot } from './read-snapshot.ts';
import { spaceUseCases } from './spaces.ts';
import { turnUseCases } from './turns.ts';
import type { Writer } from './writer.ts';

/** What use cases are made of. */
export interface AppParts {
  readonly writer: Writer;
  readonly reads: SpaceReads;
  readonly history: History;
  readonly snapshots: Snapshots;
  readonly documents: DocumentReads;
  readonly maker: SpaceMaker;
  readonly devices: DeviceStore;
  readonly names: SpaceNames;
  readonly hub: LiveHub;
  readonly peers: LivePeers;
  readonly ids: Ids;
  readonly clock: Clock;
  readonly sha256: Sha256;
  /** Told when a device is gone, so that its last sight is kept. */
  readonly departed: (userId: string, deviceId: string) => void;
}

/** Spaces whose running turns one query reads. */
const turnsPerQuery = 1_000;

/** The space a call names, as the person sees it. What one is not in looks like what is not there. */
export const visibleSpace = async (
  { names, reads }: Pick<AppParts, 'names' | 'reads'>,
  call: Call,
  name: string,
): Promise<SpaceView> => {
  const id = await names.resolve(call.userId, name);
  const space = await reads.spaceOf(call.userId, id);
  if (!space) throw new AppError('not_found', 'There is no such space');
  return space;
};

/** Everything this service can be asked to do. */
export interface SessionApp {
  readonly spaces: ReturnType<typeof spaceUseCases>;
  readonly readEvents: ReturnType<typeof readEvents>;
  readonly readSnapshot: ReturnType<typeof readSnapshot>;
  readonly conversations: ReturnType<typeof conversationUseCases>;
  readonly appendMessage: ReturnType<typeof appendMessageUseCase>;
  readonly turns: ReturnType<typeof turnUseCases>;
  readonly documents: ReturnType<typeof documentUseCases>;
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
  return {
    spaces: spaceUseCases(parts),
    readEvents: readEvents(parts),
    readSnapshot: readSnapshot(parts),
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
