import type { LiveBus } from '@skein/events';
import { liveBusPeers } from '../adapters/live-bus-peers.ts';
import { createFeeds } from '../app/live/feeds.ts';
import { createHub, type LiveHub, type LivePeers } from '../app/live/live-hub.ts';
import { createPresence } from '../app/live/presence.ts';
import type { SpaceReads } from '../app/ports.ts';
import type { Base } from './base.ts';

/** Who is watching here, and the other replicas: each tells the other. */
export const liveParts = (
  { platform: { log, metrics, instance }, clock, timers }: Base,
  reads: SpaceReads,
  live: LiveBus,
): { readonly hub: LiveHub; readonly peers: LivePeers } => {
  const peers = liveBusPeers(live, instance, () => ({
    offer: (batch) => hub.feeds.offer(batch),
    pass: (passing) => hub.pass(passing),
    presence: (space, from, present) => hub.presence.peer(space, from, present),
    openedElsewhere: (socket) => hub.presence.openedElsewhere(socket),
    presenceAsked: (space) => peers.presence(space, hub.presence.own(space)),
  }));
  const hub: LiveHub = createHub(
    createFeeds({
      reads,
      timers,
      failed: (error) => log.warn({ err: error }, 'a feed could not be read again'),
      opened: (space) => peers.follow(space),
      closed: (space) => peers.leave(space),
    }),
    createPresence({
      clock,
      timers,
      changed: (space, own) => {
        hub.pass({ kind: 'presence', space });
        if (own) peers.presence(space, hub.presence.own(space));
      },
    }),
  );
  metrics.gauge('session_sync_feeds', 'Spaces watched by this process', () => hub.feeds.size);
  return { hub, peers };
};
