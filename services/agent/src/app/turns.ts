import { AppError } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import type { Clock } from '@skein/service-kit';
import { hasEnded, type Turn, type TurnState, timeOfUuid7 } from '../domain/turn.ts';
import type { CancelSignals, NewTurn, Session, TurnStore } from './ports.ts';

/** What the use cases need. */
export interface TurnsDeps {
  readonly store: TurnStore;
  readonly session: Session;
  readonly cancels: CancelSignals;
  readonly wake: () => void;
  readonly clock: Clock;
  /** Resolves after a time: the timers of the process, or a test's. */
  readonly delay: (ms: number) => Promise<void>;
}

/** Taking up, looking at and cancelling turns. */
export interface Turns {
  /** Takes a turn up, once however often it is said. */
  takeUp(turn: NewTurn): Promise<void>;
  get(id: string, ctx: CallContext): Promise<Turn>;
  /** Asks a turn to stop. `turn_ended` when it has ended. */
  cancel(id: string, ctx: CallContext): Promise<TurnState>;
}

/** The poke may still be on its way for a turn as young as this; it is looked for again until then. */
const youngMs = 1_000;
const lookAgainMs = 50;

/** The use cases over a store and a session. */
export const turns = (deps: TurnsDeps): Turns => {
  const { store, session, cancels, wake, clock } = deps;

  /** A person can ask for a turn before its poke has arrived here: whoever got the 202 is not told 404. */
  const find = async (id: string, ctx: CallContext): Promise<Turn | undefined> => {
    const madeMs = timeOfUuid7(id);
    for (;;) {
      const turn = await store.get(id);
      const isYoung = madeMs !== undefined && clock.now() - madeMs < youngMs;
      if (turn || !isYoung || ctx.signal.aborted) return turn;
      await deps.delay(lookAgainMs);
    }
  };

  /** The turn, and the role of the person who asks; undefined for a gateway that asks for itself. */
  const visible = async (id: string, ctx: CallContext): Promise<{ turn: Turn; role: string | undefined }> => {
    const turn = await find(id, ctx);
    if (!turn) throw new AppError('not_found', 'There is no such turn.');
    // A gateway asks for itself when it joins a space's feed; a person asks only for spaces they are in.
    if (ctx.actor) return { turn, role: await session.roleIn(turn.space, ctx) };
    if (ctx.caller !== 'gateway') throw new AppError('forbidden');
    return { turn, role: undefined };
  };
  return {
    takeUp: async (turn) => {
      if (await store.add(turn)) wake();
    },
    get: async (id, ctx) => (await visible(id, ctx)).turn,
    cancel: async (id, ctx) => {
      const { turn, role } = await visible(id, ctx);
      if (role === undefined || role === 'viewer')
        throw new AppError('forbidden', 'A viewer cannot stop an answer.');
      if (hasEnded(turn.state)) throw new AppError('turn_ended');
      const before = await store.requestCancel(id);
      if (before && hasEnded(before)) throw new AppError('turn_ended');
      cancels.send(id);
      wake();
      return before ?? turn.state;
    },
  };
};
