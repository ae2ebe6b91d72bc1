import { AppError } from '@skein/contracts';
import type { Clock } from '@skein/service-kit';
import { v5 } from 'uuid';
import type { Ids, SpaceMaker } from './ports.ts';

/** Fixed for good: every personal space's id comes from it. */
const personalNamespace = '6f3d2c1e-5b7a-4c88-9f0e-2d1a7b6c5e40';

/** The id of a person's own space. */
export const personalSpaceId = (userId: string): string => v5(userId, personalNamespace);

/** What spaces are called in requests: an id, or `personal` for one's own. */
export const personalAlias = 'personal';

const uuidShape = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether a text can be the id of anything here. What cannot is simply not found. */
export const isId = (text: string): boolean => uuidShape.test(text);

/** How many people are remembered to have their space already: saves a write per request, nothing else. */
const rememberedPeople = 100_000;

/** Turns what a request names into a space id; a person's own space is made at its first touch. */
export interface SpaceNames {
  resolve(userId: string, space: string): Promise<string>;
}

/** Makes names over a maker. First touches may come at the same time, in any number of processes. */
export const spaceNames = (maker: SpaceMaker, ids: Ids, clock: Clock): SpaceNames => {
  // Person → space: an id is a hash, which every write would have to make anew.
  const made = new Map<string, string>();
  return {
    resolve: async (userId, space) => {
      const known = made.get(userId);
      const own = known ?? personalSpaceId(userId);
      if (space !== personalAlias && space !== own) {
        if (!isId(space)) throw new AppError('not_found', 'There is no such space');
        return space;
      }
      if (known === undefined) {
        await maker.make({
          id: own,
          kind: 'personal',
          title: '',
          epoch: ids.epoch(),
          owner: userId,
          nowMs: clock.now(),
        });
        if (made.size >= rememberedPeople) made.clear();
        made.set(userId, own);
      }
      return own;
    },
  };
};
