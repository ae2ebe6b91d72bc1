import type { LiveHub, LivePeers } from './live/live-hub.ts';
import { personalSpaceId } from './personal-space.ts';

/** Telling who has come into a space or left it. */
export interface MembershipNews {
  /**
   * Tells the person's own space, which every gateway with the person's devices follows, that the person may read one
   * more space or one less: nobody there may be following that one yet. At most once, like everything ephemeral.
   */
  tell(userId: string, space: string): void;
  /** Tells the person's devices that an invitation for the person is there, or can no longer be used. */
  invitation(userId: string, id: string, state: 'open' | 'ended'): void;
}

/** News over the live feeds of this process and its peers. */
export const membershipNews = (hub: LiveHub, peers: LivePeers): MembershipNews => {
  const pass = (userId: string, key: string, frame: Readonly<Record<string, string>>) => {
    const space = personalSpaceId(userId);
    const json = JSON.stringify(frame);
    hub.pass({ kind: 'ephemeral', space, key, json });
    peers.ephemeral(space, key, json);
  };
  return {
    tell: (userId, space) => pass(userId, `membership ${space}`, { type: 'membership', user: userId, space }),
    invitation: (userId, id, state) =>
      pass(userId, `invitation ${id}`, { type: 'status', kind: 'invitation', id, state }),
  };
};
