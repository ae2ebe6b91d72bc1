import { AppError } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import { hasEnded, type Turn, type TurnState } from '../domain/turn.ts';
import type { CancelSignals, NewTurn, Session, TurnStore } from './ports.ts';

/** What the use cases need. */
export interface TurnsDeps {
  readonly store: TurnStore;
  readonly session: Session;
  readonly cancels: CancelSignals;
  readonly wake: () => void;
}

/** Taking up, looking at and cancelling turns. */
export interface Turns {
  /** Takes a turn up, once however often it is said. */
  takeUp(turn: NewTurn): Promise<void>;
  get(id: string, ctx: CallContext): Promise<Turn>;
  /** Asks a turn to stop. `turn_ended` when it has ended. */
  cancel(id: string, ctx: CallContext): Promise<TurnState>;
}

/** The use cases over a store and a session. */
export const turns = ({ store, session, cancels, wake }: TurnsDeps): Turns => {
  const visible = async (id: string, ctx: CallContext): Promise<Turn> => {
    const turn = await store.get(id);
    if (!turn) throw new AppError('not_found', 'There is no such turn.');
    // A gateway asks for itself when it joins a space's feed; a person asks only for spaces they are in.
    if (ctx.actor) await session.assertMember(turn.space, ctx);
    else if (ctx.caller !== 'gateway') throw new AppError('forbidden');
    return turn;
  };
  return {
    takeUp: async (turn) => {
      if (await store.add(turn)) wake();
    },
    get: visible,
    cancel: async (id, ctx) => {
      const turn = await visible(id, ctx);
      if (hasEnded(turn.state)) throw new AppError('turn_ended');
      const before = await store.requestCancel(id);
      if (before && hasEnded(before)) throw new AppError('turn_ended');
      cancels.send(id);
      wake();
      return before ?? turn.state;
    },
  };
};
