import { AppError } from '@skein/contracts';
import type { Actor } from '../domain/event.ts';
import type { TurnOutcome } from '../domain/state.ts';
import { endTurn, startTurn, type TurnEnded, type TurnStarted } from '../domain/turn.ts';
import type { Tokens } from './live/passing-queue.ts';
import type { AppParts } from './parts.ts';
import { isId } from './personal-space.ts';
import { byteLength, checkedJson, checkedText, nameBytes } from './validate.ts';

/** Where a turn is asked for, without a person: the agent and the sweeper act for the session. */
export interface TurnCall {
  readonly signal?: AbortSignal | undefined;
  readonly correlationId: string;
  readonly traceparent: string | undefined;
}

/** A turn's end as asked for. */
export interface TurnToEnd {
  readonly space: string;
  readonly turnId: string;
  readonly outcome: TurnOutcome;
  readonly text: string;
  readonly errorCode: string;
  /** JSON text of an object; empty: none. */
  readonly meta: string;
}

/** Largest answer. */
const answerBytes = 256 * 1024;
const metaBytes = 64 * 1024;
/** Largest piece of text in one token frame. */
const tokenBytes = 64 * 1024;

const agent: Actor = { kind: 'agent', platform: 'skein' };

const checkPlace = (space: string, turnId: string): void => {
  if (!isId(space) || !isId(turnId)) throw new AppError('not_found', 'There is no such turn');
};

/** What the agent does with turns. */
export const turnUseCases = ({ writer, hub, peers }: AppParts) => ({
  start: async (call: TurnCall, space: string, turnId: string): Promise<TurnStarted> => {
    checkPlace(space, turnId);
    return writer.write(
      {
        space,
        needs: { turn: turnId },
        decide: (state, nowMs) => startTurn(state, { turnId, actor: agent, nowMs }),
        correlationId: call.correlationId,
        traceparent: call.traceparent,
      },
      call.signal,
    );
  },
  end: async (call: TurnCall, turn: TurnToEnd, actor: Actor = agent): Promise<TurnEnded> => {
    checkPlace(turn.space, turn.turnId);
    if (byteLength(turn.text) > answerBytes)
      throw new AppError('too_large', `An answer must be at most ${answerBytes} bytes long`);
    const meta = turn.meta === '' ? {} : checkedJson('metaJson', turn.meta, metaBytes);
    if (typeof meta !== 'object' || meta === null || Array.isArray(meta))
      throw new AppError('invalid_request', 'metaJson must be an object');
    const command = {
      turnId: turn.turnId,
      actor,
      outcome: turn.outcome,
      text: checkedText('text', turn.text.replaceAll('\u0000', '').toWellFormed(), {
        min: 0,
        max: answerBytes,
      }),
      errorCode:
        turn.errorCode === '' ? undefined : checkedText('errorCode', turn.errorCode, { max: nameBytes }),
      meta: meta as Record<string, unknown>,
    };
    return writer.write(
      {
        space: turn.space,
        needs: { turn: turn.turnId },
        decide: (state, nowMs) => endTurn(state, { ...command, nowMs }),
        // Once in the event and once in the row.
        bytes: 2 * (turn.text.length + turn.meta.length),
        correlationId: call.correlationId,
        traceparent: call.traceparent,
      },
      call.signal,
    );
  },
  /** To everybody who watches the space now, here and at peers; never stored. */
  tokens: (tokens: Tokens): void => {
    checkPlace(tokens.space, tokens.turnId);
    checkedText('text', tokens.text, { min: 0, max: tokenBytes });
    hub.pass({ kind: 'tokens', tokens });
    peers.tokens(tokens);
  },
});
