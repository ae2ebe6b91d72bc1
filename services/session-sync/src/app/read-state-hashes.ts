import { AppError } from '@skein/contracts';
import type { AppParts } from './parts.ts';
import { isId } from './personal-space.ts';
import type { SpaceStateHash } from './ports.ts';

/** Spaces one call may ask for. */
const maxSpaces = 100;

/** State hashes for a gateway, which compares for the people it has let in. What is not there is left out. */
export const readStateHashes =
  ({ stateHashes }: Pick<AppParts, 'stateHashes'>) =>
  async (spaces: readonly string[], signal: AbortSignal): Promise<readonly SpaceStateHash[]> => {
    if (spaces.length > maxSpaces)
      throw new AppError('invalid_request', `spaces must be at most ${maxSpaces}`);
    const known = spaces.filter(isId);
    return known.length === 0 ? [] : stateHashes.read(known, signal);
  };
