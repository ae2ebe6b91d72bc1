import type { Feeds, Watcher } from './feeds.ts';
import type { Passing, Tokens } from './passing-queue.ts';
import type { DeviceSocket, Presence, PresenceStream, PresentDevice } from './presence.ts';

/** A stream as the hub sees it. */
export interface Listener extends Watcher, PresenceStream {
  pass(passing: Passing): void;
}

/** Ephemeral fan-out to the streams of this process; peers get the same by `LivePeers`. */
export interface LiveHub {
  readonly feeds: Feeds;
  readonly presence: Presence;
  join(space: string, listener: Listener): void;
  leave(space: string, listener: Listener): void;
  pass(passing: Passing): void;
}

/** What goes to the other replicas. At most once; the log makes up for what is lost. */
export interface LivePeers {
  tokens(tokens: Tokens): void;
  ephemeral(space: string, key: string, json: string): void;
  presence(space: string, devices: readonly PresentDevice[]): void;
  /** A device has opened a WebSocket here; heard by who watches `space`, the person's own. */
  opened(space: string, socket: DeviceSocket): void;
  events(space: string, epoch: string, events: Parameters<Feeds['offer']>[0]['events']): void;
  /** Follows and leaves the spaces somebody watches here. */
  follow(space: string): void;
  leave(space: string): void;
}

const spaceOf = (passing: Passing): string =>
  passing.kind === 'tokens' ? passing.tokens.space : passing.space;

/** Makes a hub over the feeds and presence of a process. */
export const createHub = (feeds: Feeds, presence: Presence): LiveHub => {
  const listeners = new Map<string, Set<Listener>>();
  return {
    feeds,
    presence,
    join: (space, listener) => {
      let set = listeners.get(space);
      if (!set) {
        set = new Set();
        listeners.set(space, set);
      }
      set.add(listener);
    },
    leave: (space, listener) => {
      const set = listeners.get(space);
      if (!set?.delete(listener)) return;
      if (set.size === 0) listeners.delete(space);
    },
    pass: (passing) => {
      for (const listener of listeners.get(spaceOf(passing)) ?? []) listener.pass(passing);
    },
  };
};
