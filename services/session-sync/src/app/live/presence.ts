import type { Clock } from '@skein/service-kit';
import { keyOf } from '../../domain/state.ts';
import type { DeviceInfo, Timers } from '../ports.ts';

/** A device that is connected somewhere. */
export interface PresentDevice {
  readonly userId: string;
  readonly device: DeviceInfo;
  readonly sinceMs: number;
}

/** The WebSocket of a device: it has one at a time, and ids of later ones sort higher. */
export interface DeviceSocket {
  readonly userId: string;
  readonly deviceId: string;
  readonly connection: string;
}

/** A gateway's stream as presence sees it. */
export interface PresenceStream {
  /** The device has a newer WebSocket elsewhere: this one of the gateway's is to be closed. Called at once. */
  replaced(socket: DeviceSocket): void;
}

/** Which WebSocket an attach is about; `opened` when it has just been, and so wins over any other. */
export interface AttachedSocket {
  readonly connection: string;
  readonly opened: boolean;
}

/** Who is connected to which space, here and at peers. Held in memory only. */
export interface Presence {
  /**
   * A device is connected through this gateway stream, in exactly these spaces. Of two WebSockets of a device the one
   * opened last stays; when both are only said again after an interruption, the one whose id sorts higher.
   */
  attach(
    stream: PresenceStream,
    userId: string,
    device: DeviceInfo,
    spaces: readonly string[],
    socket?: AttachedSocket,
  ): void;
  /** A WebSocket was opened through another process: any other of the device that is here is replaced. */
  openedElsewhere(socket: DeviceSocket): void;
  /** False when the device is not connected through this stream: it has moved to another one meanwhile, and stays. */
  detach(stream: PresenceStream, userId: string, deviceId: string): boolean;
  /** The stream broke: its devices stay for the grace, in which another stream may take them over. */
  streamEnded(stream: PresenceStream): void;
  /** Everybody in a space, oldest connection first. */
  of(space: string): readonly PresentDevice[];
  /** Devices in the space beside this one. */
  others(space: string, userId: string, deviceId: string | undefined): number;
  isConnected(space: string, userId: string, deviceId: string): boolean;
  /** What a peer says it has, whole; it is believed for the grace. */
  peer(space: string, instance: string, devices: readonly PresentDevice[]): void;
  /** What is connected through this process. */
  own(space: string): readonly PresentDevice[];
  /** Spaces in which this process has devices. */
  ownSpaces(): Iterable<string>;
  /** Removes what has expired; call it about once a second. */
  sweep(): void;
}

/** What presence is made of. */
export interface PresenceOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Told once per burst of changes of a space; `own` says whether this process's part changed. */
  readonly changed: (space: string, own: boolean) => void;
  readonly graceMs?: number;
}

/** How long changes of a space gather, in ms: everybody is told everybody, so what it costs grows with both. */
const burstOf = (devices: number): number => Math.min(2_000, Math.max(50, 2 * devices));

interface Entry extends PresentDevice {
  spaces: ReadonlySet<string>;
  stream: PresenceStream | undefined;
  /** Its WebSocket, and through which stream, unless that has ended. */
  socket: { readonly connection: string; stream: PresenceStream | undefined } | undefined;
  expiresAtMs: number;
}

interface PeerPart {
  readonly devices: readonly PresentDevice[];
  readonly expiresAtMs: number;
}

const noSocket: AttachedSocket = { connection: '', opened: false };

/** Makes the presence of a process. Devices are bounded by the gateways' socket limits. */
export const createPresence = (options: PresenceOptions): Presence => {
  const { clock, timers, graceMs = 10_000 } = options;
  const entries = new Map<string, Entry>();
  const bySpace = new Map<string, Map<string, Entry>>();
  const peers = new Map<string, Map<string, PeerPart>>();
  // Space → whether our own part changed; told together after a while, whole.
  const changes = new Map<string, boolean>();

  const sizeOf = (space: string): number => {
    let size = bySpace.get(space)?.size ?? 0;
    for (const part of peers.get(space)?.values() ?? []) size += part.devices.length;
    return size;
  };

  const change = (space: string, own: boolean) => {
    const waiting = changes.get(space);
    changes.set(space, own || (waiting ?? false));
    if (waiting !== undefined) return;
    timers.after(burstOf(sizeOf(space)), () => {
      const ours = changes.get(space) ?? false;
      changes.delete(space);
      options.changed(space, ours);
    });
  };

  const enter = (key: string, entry: Entry, space: string) => {
    let present = bySpace.get(space);
    if (!present) {
      present = new Map();
      bySpace.set(space, present);
    }
    present.set(key, entry);
    change(space, true);
  };

  const leave = (key: string, space: string) => {
    const present = bySpace.get(space);
    if (!present?.delete(key)) return;
    if (present.size === 0) bySpace.delete(space);
    change(space, true);
  };

  const remove = (key: string) => {
    const entry = entries.get(key);
    if (!entry) return;
    entries.delete(key);
    for (const space of entry.spaces) leave(key, space);
  };

  const own = (space: string): PresentDevice[] => [...(bySpace.get(space)?.values() ?? [])];
  const of = (space: string): PresentDevice[] => {
    const all = new Map<string, PresentDevice>();
    for (const part of peers.get(space)?.values() ?? [])
      for (const one of part.devices) all.set(keyOf(one.userId, one.device.id), one);
    for (const one of own(space)) all.set(keyOf(one.userId, one.device.id), one);
    return [...all.values()].sort((a, b) => a.sinceMs - b.sinceMs);
  };

  /** How many devices in a space are so; asked for every write, and with one replica there are no others' to add. */
  const count = (space: string, isSo: (one: PresentDevice) => boolean): number => {
    if (peers.has(space)) return of(space).filter(isSo).length;
    let found = 0;
    for (const one of bySpace.get(space)?.values() ?? []) if (isSo(one)) found += 1;
    return found;
  };

  return {
    attach: (stream, userId, device, spaces, { connection, opened } = noSocket) => {
      const key = keyOf(userId, device.id);
      const known = entries.get(key);
      const held = known?.socket;
      if (connection !== '' && held && held.connection !== connection) {
        const deviceId = device.id;
        // One whose stream has ended is gone, or will be said again.
        if (!opened && held.stream && connection < held.connection) {
          stream.replaced({ userId, deviceId, connection });
          return;
        }
        // A gateway closes the older of its own by itself.
        if (held.stream !== stream) held.stream?.replaced({ userId, deviceId, connection: held.connection });
      }
      const same = known && known.device.platform === device.platform && known.device.name === device.name;
      const entry: Entry = {
        userId,
        device,
        sinceMs: known?.sinceMs ?? clock.now(),
        spaces: new Set(spaces),
        stream,
        socket: connection !== '' ? { connection, stream } : held?.stream === stream ? undefined : held,
        expiresAtMs: Number.POSITIVE_INFINITY,
      };
      entries.set(key, entry);
      for (const space of known?.spaces ?? []) if (!entry.spaces.has(space)) leave(key, space);
      for (const space of entry.spaces) {
        if (same && known.spaces.has(space)) bySpace.get(space)?.set(key, entry);
        else enter(key, entry, space);
      }
    },
    detach: (stream, userId, deviceId) => {
      const key = keyOf(userId, deviceId);
      const entry = entries.get(key);
      if (entry?.socket?.stream === stream) entry.socket = undefined;
      if (entry?.stream !== stream) return false;
      remove(key);
      return true;
    },
    streamEnded: (stream) => {
      for (const entry of entries.values()) {
        if (entry.socket?.stream === stream) entry.socket.stream = undefined;
        if (entry.stream !== stream) continue;
        entry.stream = undefined;
        entry.expiresAtMs = clock.now() + graceMs;
      }
    },
    openedElsewhere: ({ userId, deviceId, connection }) => {
      const socket = entries.get(keyOf(userId, deviceId))?.socket;
      if (!socket || socket.connection === connection) return;
      socket.stream?.replaced({ userId, deviceId, connection: socket.connection });
    },
    of,
    others: (space, userId, deviceId) =>
      count(space, (one) => one.userId !== userId || one.device.id !== deviceId),
    isConnected: (space, userId, deviceId) =>
      count(space, (one) => one.userId === userId && one.device.id === deviceId) > 0,
    peer: (space, instance, devices) => {
      let parts = peers.get(space);
      if (!parts) {
        parts = new Map();
        peers.set(space, parts);
      }
      const before = JSON.stringify(parts.get(instance)?.devices ?? []);
      if (devices.length === 0) parts.delete(instance);
      else parts.set(instance, { devices, expiresAtMs: clock.now() + graceMs });
      if (parts.size === 0) peers.delete(space);
      if (JSON.stringify(devices) !== before) change(space, false);
    },
    own,
    ownSpaces: () => bySpace.keys(),
    sweep: () => {
      const now = clock.now();
      for (const [key, entry] of entries) if (entry.expiresAtMs <= now) remove(key);
      for (const [space, parts] of peers) {
        for (const [instance, part] of parts)
          if (part.expiresAtMs <= now) {
            parts.delete(instance);
            change(space, false);
          }
        if (parts.size === 0) peers.delete(space);
      }
    },
  };
};
