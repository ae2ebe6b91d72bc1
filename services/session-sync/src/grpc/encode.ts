import type { syncV1 } from '@skein/contracts';
import type { FoundInvitation } from '../app/invitation-store.ts';
import type { EventsFrame, LiveCommand, LiveFrame } from '../app/live/live-stream.ts';
import type { PresentDevice } from '../app/live/presence.ts';
import type { ListedDevice, SpaceView } from '../app/ports.ts';
import { nameBytes } from '../app/validate.ts';
import type { SyncData } from '../domain/apply-classic.ts';
import type { LoggedEvent } from '../domain/event.ts';
import type { InvitationRow } from '../domain/invitation-row.ts';
import type { ConflictRow, ConversationRow, DocumentRow, MessageRow } from '../domain/state.ts';

/** Spaces one device can be present in. */
const maxAttached = 1_000;

/** Domain shapes as messages of the proto. */
export const toSpace = ({ floor: _, ...space }: SpaceView): syncV1.Space => space;

export const toDeviceState = (row: ListedDevice & { readonly connected: boolean }): syncV1.DeviceState => ({
  device: { id: row.id, platform: row.platform, name: row.name },
  connected: row.connected,
  lastSeenMs: row.lastSeenMs,
  sessionIds: [...row.sessionIds],
  tokenIds: [...row.tokenIds],
});

export const toEvents = (events: readonly LoggedEvent[]): syncV1.LoggedEvent[] => [...events];

export const toConversation = (row: ConversationRow): syncV1.Conversation => ({
  id: row.id,
  title: row.title,
  createdAtMs: row.createdAtMs,
  updatedAtMs: row.updatedAtMs,
  head: row.head ?? '',
  count: row.count,
  parent: row.parent ?? '',
  forkedAt: row.forkedAt ?? '',
});

export const toMessage = (row: MessageRow): syncV1.Message => ({
  id: row.id,
  conversationId: row.conversationId,
  role: row.role,
  text: row.text,
  timeMs: row.timeMs,
  userId: row.userId ?? '',
  platform: row.platform,
  persona: row.persona,
  turnId: row.turnId ?? '',
  clientMessageId: row.clientMessageId ?? '',
  state: row.state,
  offset: row.offset,
  metaJson: row.meta ?? '',
});

export const toDocument = (row: DocumentRow): syncV1.Document => ({
  collection: row.collection,
  id: row.id,
  version: row.loggedVersion,
  valueJson: row.value,
  hash: row.hash,
  offset: row.offset,
  updatedAtMs: row.updatedAtMs,
});

export const toConflict = (row: ConflictRow): syncV1.Conflict => ({
  ...{ id: row.id, collection: row.collection, documentId: row.documentId, field: row.field },
  ...{ strategy: row.strategy, reason: row.resolver, state: row.state, winner: row.winner },
  serverJson: row.serverValue ?? undefined,
  clientJson: row.clientValue ?? undefined,
  ...{ serverVersion: row.serverVersion, baseVersion: row.baseVersion, version: row.version },
  ...{ userId: row.userId, deviceId: row.device, seq: row.seq ?? 0, createdAtMs: row.createdAtMs },
  ...{ choice: row.choice ?? '', closedBy: row.closedBy ?? '' },
  ...{ closedAtMs: row.closedAtMs ?? 0, closedVersion: row.closedVersion ?? 0 },
});

export const toInvitation = (row: InvitationRow): syncV1.Invitation => ({
  ...{ id: row.id, role: row.role, code: row.code, createdBy: row.createdBy },
  ...{ email: row.email ?? '', userId: row.userId ?? '' },
  ...{ createdAtMs: row.createdAtMs, expiresAtMs: row.expiresAtMs },
});

export const toReceivedInvitation = ({ title, ...row }: FoundInvitation): syncV1.ReceivedInvitation => ({
  invitation: toInvitation(row),
  space: row.space,
  title,
});

export const toSyncData = ({ data, ...rest }: SyncData): syncV1.SyncData => ({ ...rest, dataJson: data });

export const fromSyncData = (data: syncV1.SyncData | undefined): SyncData => ({
  id: data?.id ?? '',
  type: data?.type ?? '',
  data: data?.dataJson ?? '',
  timestamp: data?.timestamp ?? 0,
  version: data?.version ?? 0,
});

const toPresent = ({ userId, device, sinceMs }: PresentDevice): syncV1.LiveResponse_PresentDevice => ({
  userId,
  device: { ...device },
  sinceMs,
});

const toEventsFrame = ({ space, epoch, events }: EventsFrame): syncV1.LiveResponse_Events => ({
  ...{ space, epoch },
  events: toEvents(events),
});

/** A frame of the live stream as its message. */
export const toLiveResponse = (frame: LiveFrame): syncV1.LiveResponse => {
  switch (frame.kind) {
    case 'following': {
      const { kind: _, turns, ...place } = frame;
      return {
        frame: {
          $case: 'following',
          value: {
            ...place,
            turns: turns.map(({ turnId, messageId, conversationId }) => ({
              turnId,
              messageId,
              conversationId,
            })),
          },
        },
      };
    }
    case 'events':
      return { frame: { $case: 'events', value: toEventsFrame(frame) } };
    case 'bundle':
      return { frame: { $case: 'bundle', value: { spaces: frame.spaces.map(toEventsFrame) } } };
    case 'tokens':
      return { frame: { $case: 'tokens', value: { ...frame.tokens } } };
    case 'presence':
      return {
        frame: { $case: 'presence', value: { space: frame.space, devices: frame.devices.map(toPresent) } },
      };
    case 'ephemeral':
      return { frame: { $case: 'ephemeral', value: { space: frame.space, json: frame.json } } };
    case 'replaced': {
      const { kind: _, ...value } = frame;
      return { frame: { $case: 'replaced', value } };
    }
    case 'lost':
      return {
        frame: { $case: 'lost', value: { space: frame.space, epoch: frame.epoch, head: frame.head } },
      };
  }
};

/** The commands of a live stream; a frame of a newer gateway that is not known here is passed over. */
export async function* fromLiveRequests(
  requests: AsyncIterable<syncV1.LiveRequest>,
): AsyncGenerator<LiveCommand, void> {
  for await (const { frame } of requests) {
    switch (frame?.$case) {
      case 'follow':
      case 'typing':
      case 'unfollow':
      case 'detach':
      case 'reads':
        yield { kind: frame.$case, ...frame.value } as LiveCommand;
        break;
      case 'attach': {
        const { userId, device, spaces, connection, opened } = frame.value;
        // One odd device must not end the stream that all the others of its gateway share.
        if (device && device.id !== '' && device.id.length <= nameBytes)
          yield {
            ...{ kind: 'attach', userId, device, spaces: spaces.slice(0, maxAttached) },
            ...{ connection: connection.slice(0, nameBytes), opened: opened && connection !== '' },
          };
        break;
      }
      case undefined:
        break;
    }
  }
}
