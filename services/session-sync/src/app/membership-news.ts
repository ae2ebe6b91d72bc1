import type { LiveHub, LivePeers } from './live/live-hub.ts';
import { personalSpaceId } from './personal-space.ts';

/** Telling who has come into a space or left it. */
export interface MembershipNews {
  /**
   * Tells the person's own space, which every gateway with the person's devices follows, that the person may read one
   * more space or one less: nobody there may be following that one yet. At most once, like everything ephemeral.
   */
  tell(userId: string, space: string): void;
}

/** News over the live feeds of this process and its peers. */
export const membershipNews = (hub: LiveHub, peers: LivePeers): MembershipNews => ({
  tell: (userId, space) => {
    const own = personalSpaceId(userId);
    const key = `membership ${space}`;
    const json = JSON.stringify({ type: 'membership', user: userId, space });
    hub.pass({ kind: 'ephemeral', space: own, key, json });
    peers.ephemeral(own, key, json);
  },
});
