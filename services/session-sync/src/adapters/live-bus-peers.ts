import { syncV1 } from '@skein/contracts';
import type { LiveBus } from '@skein/events';
import type { LivePeers } from '../app/live/live-hub.ts';
import type { Passing } from '../app/live/passing-queue.ts';
import type { DeviceSocket, PresentDevice } from '../app/live/presence.ts';
import type { CommittedEvents } from '../app/ports.ts';
import type { LoggedEvent } from '../domain/event.ts';

/** What arrives from the other replicas. */
export interface PeerInbox {
  offer(batch: CommittedEvents): void;
  pass(passing: Passing): void;
  presence(space: string, instance: string, devices: readonly PresentDevice[]): void;
  /** A device has opened a WebSocket through another replica. */
  openedElsewhere(socket: DeviceSocket): void;
  /** Somebody has begun to watch a space: tell who is connected to it here. */
  presenceAsked(space: string): void;
}

const subjectOf = (space: string): string => `skein.live.${space}`;

/** A message says who sent it: a replica hears itself on some buses and must not repeat what it said. */
interface Head {
  readonly from: string;
  readonly what: 'frame' | 'presence' | 'presence?' | 'ephemeral' | 'opened';
  readonly key?: string;
  readonly devices?: readonly PresentDevice[];
  readonly socket?: DeviceSocket;
}

const separator = 0x0a;
/** A NATS server takes 1 MB a message unless it is told otherwise; a single event is never larger than 900 KB. */
const messageBytes = 900_000;

/** Events in pieces that fit a message. */
const chunks = (events: readonly LoggedEvent[]): LoggedEvent[][] => {
  const pieces: LoggedEvent[][] = [];
  let bytes = messageBytes;
  for (const event of events) {
    const size = Buffer.byteLength(event.json) + 200;
    if (bytes + size > messageBytes) {
      pieces.push([]);
      bytes = 0;
    }
    pieces.at(-1)?.push(event);
    bytes += size;
  }
  return pieces;
};

const encode = (head: Head, frame?: syncV1.LiveResponse): Uint8Array => {
  const start = Buffer.from(`${JSON.stringify(head)}\n`);
  return frame ? Buffer.concat([start, syncV1.LiveResponse.encode(frame).finish()]) : start;
};

const nobody: LivePeers = {
  ...{ tokens() {}, ephemeral() {}, presence() {}, opened() {}, events() {}, follow() {}, leave() {} },
};

/**
 * Replicas of this service talking over the live bus: at most once, one subject a space, heard only while somebody
 * here watches it. What is malformed or from ourselves is dropped; the log makes up for anything lost.
 */
export const liveBusPeers = (bus: LiveBus, instance: string, inbox: () => PeerInbox): LivePeers => {
  if (!bus.peers) return nobody;
  const subscriptions = new Map<string, () => void>();
  const send = (space: string, head: Omit<Head, 'from'>, frame?: syncV1.LiveResponse['frame']) =>
    bus.publish(subjectOf(space), encode({ from: instance, ...head }, frame && { frame }));

  const receive = (space: string, payload: Uint8Array): void => {
    const end = payload.indexOf(separator);
    if (end < 0) return;
    const head = JSON.parse(Buffer.from(payload.subarray(0, end)).toString()) as Head;
    if (head.from === instance) return;
    if (head.what === 'presence') inbox().presence(space, head.from, head.devices ?? []);
    if (head.what === 'presence?') inbox().presenceAsked(space);
    if (head.what === 'opened' && head.socket) inbox().openedElsewhere(head.socket);
    if (head.what === 'opened' || head.what.startsWith('presence')) return;
    const { frame } = syncV1.LiveResponse.decode(payload.subarray(end + 1));
    if (frame?.$case === 'events') inbox().offer(frame.value);
    else if (frame?.$case === 'tokens') inbox().pass({ kind: 'tokens', tokens: frame.value });
    else if (frame?.$case === 'ephemeral')
      inbox().pass({ kind: 'ephemeral', space, key: head.key ?? '', json: frame.value.json });
  };

  return {
    tokens: (tokens) => send(tokens.space, { what: 'frame' }, { $case: 'tokens', value: tokens }),
    ephemeral: (space, key, json) =>
      send(space, { what: 'ephemeral', key }, { $case: 'ephemeral', value: { space, json } }),
    events: (space, epoch, events) => {
      for (const some of chunks(events))
        send(space, { what: 'frame' }, { $case: 'events', value: { space, epoch, events: some } });
    },
    presence: (space, devices) => send(space, { what: 'presence', devices }),
    opened: (space, socket) => send(space, { what: 'opened', socket }),
    follow: (space) => {
      subscriptions.set(
        space,
        bus.subscribe(subjectOf(space), (payload) => {
          try {
            receive(space, payload);
          } catch {
            // A peer of another version, or noise: the log and the next announcement make up for it.
          }
        }),
      );
      send(space, { what: 'presence?' });
    },
    leave: (space) => {
      subscriptions.get(space)?.();
      subscriptions.delete(space);
    },
  };
};
