import { type AppError, toAppError } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import type { Logger } from '@skein/telemetry';
import {
  codePoints,
  type Ending,
  type HeldTurn,
  maxAnswerLength,
  maxAttempts,
  splitWhole,
  type Turn,
  type TurnOutcome,
} from '../domain/turn.ts';
import type { Model, Session, TurnStore } from './ports.ts';

/** What running a turn needs. */
export interface RunTurnDeps {
  readonly store: TurnStore;
  readonly session: Session;
  readonly model: Model;
  readonly log: Logger;
  /** Resolves after a time; rejects never. The timers of the process, or a test's. */
  readonly delay: (ms: number) => Promise<void>;
  readonly turnTimeoutMs: number;
  /** Told when the first text goes out, and how the turn ended once everybody knows. */
  readonly noticed: (turn: Turn, what: 'text' | TurnOutcome) => void;
  /** A context of the turn's own, on behalf of its person: the work outlives the request that asked for it. */
  readonly contextFor: (turn: Turn, timeoutMs: number, signal: AbortSignal) => CallContext;
}

/** Tokens are gathered this long before a frame goes out: smooth to read, 30 frames a second at most. */
const coalesceMs = 33;
/** Text so far is saved this often, which renews the lease as well. */
const saveMs = 250;
/** One call to the session; the turn as a whole has its own time. */
const callTimeoutMs = 5_000;
/** Between tries, while the session or the database is away; well below the lease, which is renewed meanwhile. */
const retryMs = { first: 100, most: 2_000 };

/** Another owner has the turn: whatever this one wanted to say is said by the other. */
class LostTurn extends Error {
  override readonly name = 'LostTurn';
}

/** Why the stream stopped before its end. */
type Stop = 'cancelled' | 'lost' | 'timeout';

/**
 * Makes the answer of a held turn: starts it in the session, streams the model's text as tokens, saves it as it
 * grows, and tells the session exactly one end. An owner that lost its lease stops without a word; whoever took
 * over starts again at `from: 0`. Resolves when the turn is no longer this process's business.
 */
export const runTurn = async (
  held: HeldTurn,
  stop: AbortSignal,
  cancelled: AbortSignal,
  deps: RunTurnDeps,
): Promise<void> => {
  const { store, session, model, log } = deps;
  const abort = new AbortController();
  const signal = AbortSignal.any([stop, abort.signal]);
  let why: Stop | undefined;
  const halt = (reason: Stop) => {
    why ??= reason;
    abort.abort();
  };
  // Heard on the way; the saved flag says the same a moment later.
  cancelled.addEventListener('abort', () => halt('cancelled'), { once: true });
  const ctx = (timeoutMs: number, over: AbortSignal = stop): CallContext =>
    deps.contextFor(held, timeoutMs, over);

  /** Tries again while it may help and the turn is still ours: an end is never dropped. */
  const retrying = async <T>(work: () => Promise<T>): Promise<T> => {
    let waitMs = retryMs.first;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        const fault = toAppError(error);
        if (stop.aborted || !fault.row.retryable) throw fault;
        log.warn({ turn: held.id, err: fault }, 'the turn waits for the session');
        await deps.delay(waitMs);
        waitMs = Math.min(waitMs * 2, retryMs.most);
        // A database that is away for a moment decides nothing: the fence does when it is back.
        const ours = await store.renew(held).catch(() => true);
        if (!ours) throw new LostTurn();
      }
    }
  };
  /** The session will never take this turn (its space is gone, the person has left): the turn ends here. */
  const refused = async (error: unknown, text: string): Promise<void> => {
    if (stop.aborted || error instanceof LostTurn) throw error;
    log.error({ turn: held.id, err: error }, 'the session does not take the turn');
    await retrying(() => store.finish(held, 'failed', text));
  };
  /** Tells the session the end until it has heard it. */
  const tell = async (turn: Turn, ending: Ending): Promise<void> => {
    if (!(await retrying(() => store.decide(held, ending)))) return;
    let outcome: TurnOutcome;
    try {
      outcome = await retrying(() => session.end(turn, ending, ctx(callTimeoutMs)));
    } catch (error) {
      return refused(error, ending.text);
    }
    await retrying(() => store.finish(held, outcome, ending.text));
    deps.noticed(turn, outcome);
  };

  const failed = (errorCode: string, text: string): Ending => ({
    outcome: 'failed',
    text,
    errorCode,
    meta: { model: model.name },
  });

  if (held.decided) return tell(held, held.decided);
  if (held.attempt > maxAttempts) return tell(held, failed('unavailable', held.text));

  let started: Awaited<ReturnType<Session['start']>>;
  try {
    started = await retrying(() => session.start(held, ctx(callTimeoutMs)));
  } catch (error) {
    return refused(error, held.text);
  }
  const turn: Turn = { ...held, messageId: started.messageId };
  if (started.ended) {
    await store.finish(held, started.ended, held.text);
    return;
  }
  // From here on whoever asks for the turn learns which message it becomes.
  const known = await retrying(() => store.save(held, { text: '', messageId: turn.messageId }));
  if (!known) return;
  if (known.cancelRequested) return tell(turn, { outcome: 'cancelled', text: '', errorCode: '', meta: {} });

  let text = '';
  let sent = 0;
  let meta: Record<string, unknown> = { model: model.name };
  let streaming = true;

  /** At most one frame under way; what comes meanwhile goes with the next. */
  const flush = async (): Promise<void> => {
    const [whole] = splitWhole(text);
    const fresh = whole.slice(sent);
    if (fresh === '') return;
    if (sent === 0) deps.noticed(turn, 'text');
    const from = codePoints(whole.slice(0, sent));
    sent = whole.length;
    // A lost frame is seen by the reader (a gap in `from`) and healed by asking for the turn.
    await session
      .publishTokens(turn, from, fresh, ctx(callTimeoutMs))
      .catch((error: unknown) => log.debug({ err: error }, 'tokens were lost'));
  };
  const pace = async (): Promise<void> => {
    while (streaming) {
      await deps.delay(coalesceMs);
      await flush();
    }
  };
  const keep = async (): Promise<void> => {
    while (streaming) {
      await deps.delay(saveMs);
      if (!streaming) return;
      // A database that is away for a moment stops nobody: the fence decides when it is back.
      const saved = await store.save(held, { text, messageId: turn.messageId }).catch((error: unknown) => {
        log.warn({ turn: held.id, err: error }, 'the text so far could not be saved');
        return { cancelRequested: false };
      });
      if (!saved) halt('lost');
      else if (saved.cancelRequested) halt('cancelled');
    }
  };

  const timer = setTimeout(() => halt('timeout'), deps.turnTimeoutMs);
  const keeping = keep();
  const pacing = pace();
  let fault: AppError | undefined;
  try {
    for await (const part of model.answer(turn, ctx(deps.turnTimeoutMs, signal))) {
      if ('meta' in part) meta = { ...meta, ...part.meta };
      else text += part.text;
      if (text.length > maxAnswerLength) {
        text = `${splitWhole(text.slice(0, maxAnswerLength))[0]}…`;
        meta = { ...meta, cut: true };
        break;
      }
      if (signal.aborted) break;
    }
  } catch (error) {
    if (!signal.aborted) fault = toAppError(error);
  } finally {
    streaming = false;
    clearTimeout(timer);
    await Promise.all([keeping, pacing]);
  }
  if (why === 'lost') return;
  // The process stops: the lease is given back, and the next owner starts again.
  if (stop.aborted) return;
  await flush();
  if (why === 'cancelled') return tell(turn, { outcome: 'cancelled', text, errorCode: '', meta });
  if (why === 'timeout') return tell(turn, failed('deadline_exceeded', text));
  if (fault) {
    log.warn({ turn: held.id, err: fault }, 'the model could not answer');
    return tell(turn, failed(fault.code, text));
  }
  return tell(turn, { outcome: 'completed', text, errorCode: '', meta });
};
