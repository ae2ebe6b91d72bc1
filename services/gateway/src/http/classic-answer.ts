import { AppError, type agentV1 } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import { deriveContext } from '@skein/rpc';
import type { Clients, LiveSide, TurnStep } from '../ports.ts';

/** A turn that somebody waits for. */
export interface AwaitedTurn {
  readonly space: string;
  readonly turnId: string;
}

/** A piece of the answer, or the whole of it at the end. */
export type AnswerStep =
  | { readonly kind: 'token'; readonly from: number; readonly text: string }
  | { readonly kind: 'done'; readonly messageId: string; readonly text: string };

type End = Pick<Extract<TurnStep, { kind: 'end' }>, 'outcome' | 'messageId' | 'text'>;

const outcomes: Readonly<Record<string, End['outcome']>> = {
  done: 'completed',
  cancelled: 'cancelled',
  failed: 'failed',
};

/** Only a completed turn is an answer. The same message id would find the same end, so none is retryable. */
const doneOf = (end: End, turnId: string): AnswerStep => {
  const meta = { turnId, messageId: end.messageId };
  if (end.outcome === 'cancelled') throw new AppError('turn_ended', 'The answer was cancelled', { meta });
  if (end.outcome === 'failed') throw new AppError('internal', 'The assistant could not answer', { meta });
  return { kind: 'done', messageId: end.messageId, text: end.text };
};

/**
 * Follows a turn to its end: `token` steps (`from` in code points, may go back when the answer is begun anew) and
 * one `done`. The feed tells what happens from now on; what was before is read from agent whenever the feed
 * begins. Throws `turn_ended`, `internal` (the turn failed), or the reason of the context's signal.
 */
export async function* followAnswer(
  live: Pick<LiveSide, 'watchTurn'>,
  agent: Clients['agent'],
  { space, turnId }: AwaitedTurn,
  ctx: CallContext,
  callTimeoutMs: number,
): AsyncGenerator<AnswerStep, void, undefined> {
  const soFar = async (): Promise<agentV1.Turn | undefined> => {
    try {
      return (await agent.getTurn({ turnId }, deriveContext(ctx, { timeoutMs: callTimeoutMs }))).turn;
    } catch (error) {
      // The turn is in the log but agent has not taken it up yet: the feed will tell.
      if (error instanceof AppError && error.code === 'not_found') return undefined;
      throw error;
    }
  };
  for await (const step of live.watchTurn(space, turnId, ctx.signal)) {
    if (step.kind === 'token') yield { kind: 'token', from: step.from, text: step.text };
    if (step.kind === 'end') return yield doneOf(step, turnId);
    if (step.kind === 'following') {
      const turn = await soFar();
      const outcome = outcomes[turn?.state ?? ''];
      if (turn && outcome)
        return yield doneOf({ outcome, messageId: turn.messageId, text: turn.text }, turnId);
      if (turn && turn.text !== '') yield { kind: 'token', from: 0, text: turn.text };
    }
  }
  ctx.signal.throwIfAborted();
  throw new AppError('unavailable', 'The answer could not be followed', { meta: { turnId } });
}

/** A context that ends after `ms` with `deadline_exceeded` and the facts to ask again with; call `done` at the end. */
export const withPatience = (
  ctx: CallContext,
  ms: number,
  meta: Readonly<Record<string, string>>,
): { ctx: CallContext; done: () => void } => {
  const patience = new AbortController();
  const timer = setTimeout(
    () => patience.abort(new AppError('deadline_exceeded', 'The answer is not complete yet', { meta })),
    ms,
  );
  return { ctx: deriveContext(ctx, { signal: patience.signal }), done: () => clearTimeout(timer) };
};
