import type { Clock } from '@skein/service-kit';
import { keyOf } from '../../domain/state.ts';
import type { DeviceInfo, Timers } from '../ports.ts';

/** A device that is connected somewhere. */
export interface PresentDevice {
  readonly userId: string;
  readonly device: DeviceInfo;
  readonly sinceMs: number;
}

/** Who is connected to which space, here and at peers. Held in memory only. */
export interface Presence {
  /** A device is connected through this gateway stream, in exactly these spaces. */
  attach(stream: object, userId: string, device: DeviceInfo, spaces: readonly string[]): void;
  /** False when the device is not connected through this stream: it has moved to another one meanwhile, and stays. */
  detach(stream: object, userId: string, deviceId: string): boolean;
  /** The stream broke: its devices stay for the grace, in which another stream may take them over. */
  streamEnded(stream: object): void;
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
  readonly burstMs?: number;
}

interface Entry extends PresentDevice {
  spaces: ReadonlySet<string>;
  stream: object | undefined;
  expiresAtMs: number;
}

interface PeerPart {
  readonly devices: readonly PresentDevice[];
  readonly expiresAtMs: number;
}

/** Makes the presence of a process. Devices are bounded by the gateways' socket limits. */
export const createPresence = (options: PresenceOptions): Presence => {
  const { clock, timers, graceMs = 10_000, burstMs = 50 } = options;
  const entries = new Map<string, Entry>();
  const bySpace = new Map<string, Map<string, Entry>>();
  const peers = new Map<string, Map<string, PeerPart>>();
  // Space → whether our own part changed; told together after a short while, whole.
  let changes = new Map<string, boolean>();

  const change = (space: string, own: boolean) => {
    if (changes.size === 0)
      timers.after(burstMs, () => {
        const told = changes;
        changes = new Map();
        for (const [one, ours] of told) options.changed(one, ours);
      });
    changes.set(space, own || (changes.get(space) ?? false));
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

  return {
    attach: (stream, userId, device, spaces) => {
      const key = keyOf(userId, device.id);
      const known = entries.get(key);
      const same = known && known.device.platform === device.platform && known.device.name === device.name;
      const entry: Entry = {
        userId,
        device,
        sinceMs: known?.sinceMs ?? clock.now(),
        spaces: new Set(spaces),
        stream,
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
      if (entries.get(key)?.stream !== stream) return false;
      remove(key);
      return true;
    },
    streamEnded: (stream) => {
      for (const entry of entries.values())
        if (entry.stream === stream) {
          entry.stream = undefined;
          entry.expiresAtMs = clock.now() + graceMs;
        }
    },
    of,
    others: (space, userId, deviceId) =>
      of(space).filter((one) => one.userId !== userId || one.device.id !== deviceId).length,
    isConnected: (space, userId, deviceId) =>
      of(space).some((one) => one.userId === userId && one.device.id === deviceId),
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
