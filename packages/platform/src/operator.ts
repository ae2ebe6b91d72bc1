import { AppError } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';

/** The id of the acting operator; `unauthenticated` or `forbidden` for anybody else. */
export const operatorOf = (actor: CallContext['actor']): string => {
  if (!actor) throw new AppError('unauthenticated');
  if (!actor.scopes.includes('operator'))
    throw new AppError('forbidden', 'The token lacks the scope operator');
  return actor.userId;
};
