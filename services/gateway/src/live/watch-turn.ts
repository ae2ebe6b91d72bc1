import { AppError } from '@skein/contracts';
import type { TurnStep } from '../ports.ts';
import type { Subscriber } from './feed.ts';
import type { Feeds } from './feeds.ts';
import type { Batch, EventFrame } from './frame.ts';

/** Steps that wait for a slow consumer; it may ask GetTurn for what it missed. */
const maxSteps = 1_000;

const outcomes: Readonly<Record<string, 'completed' | 'cancelled' | 'failed'>> = {
  'message.completed': 'completed',
  'turn.cancelled': 'cancelled',
  'turn.failed': 'failed',
};

interface EndData {
  readonly turnId?: string;
  readonly messageId?: string;
  readonly conversationId?: string;
  readonly text?: string;
}

const endOf = (frame: EventFrame, turnId: string): TurnStep | undefined => {
  const outcome = outcomes[frame.type];
  if (!outcome) return undefined;
  const { event } = JSON.parse(frame.payload.toString('utf8')) as { event: { data: EndData } };
  const { data } = event;
  if (data.turnId !== turnId) return undefined;
  return {
    kind: 'end',
    outcome,
    messageId: data.messageId ?? '',
    conversationId: data.conversationId ?? '',
    text: data.text ?? '',
  };
};

class TurnWatcher implements Subscriber {
  readonly userId = '';
  readonly steps: TurnStep[] = [{ kind: 'following' }];
  private readonly turnId: string;
  private wake: () => void = () => {};
  failure: AppError | undefined;

  constructor(turnId: string) {
    this.turnId = turnId;
  }

  deliver(batch: Batch): void {
    for (const frame of batch.frames) {
      if (frame.kind === 'event') {
        const end = endOf(frame, this.turnId);
        if (end) this.push(end);
      } else if (frame.token?.turnId === this.turnId) {
        const { messageId, from, text } = frame.token;
        this.push({ kind: 'token', messageId, from, text });
      }
    }
  }

  removed(): void {
    this.end(new AppError('forbidden'));
  }

  lost(): void {
    this.end(new AppError('unavailable', 'the log has moved; read the turn'));
  }

  resumed(): void {
    this.push({ kind: 'following' });
  }

  /** Resolves when there is a step, a failure, or the signal aborts. */
  async next(signal: AbortSignal): Promise<void> {
    if (this.steps.length > 0 || this.failure || signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  private push(step: TurnStep): void {
    // The consumer is behind: it starts over from what is stored.
    if (this.steps.length >= maxSteps) this.steps.splice(0, this.steps.length, { kind: 'following' });
    this.steps.push(step);
    this.wake();
  }

  private end(failure: AppError): void {
    this.failure = failure;
    this.wake();
  }
}

/**
 * The steps of one turn from now on, beginning with `following`. Ends after `end`; throws the signal's reason,
 * or `unavailable` when the feed went away.
 */
export async function* watchTurn(
  feeds: Feeds,
  space: string,
  turnId: string,
  signal: AbortSignal,
): AsyncGenerator<TurnStep> {
  const feed = feeds.acquire(space);
  const watcher = new TurnWatcher(turnId);
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  aborted.catch(() => {});
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    signal.throwIfAborted();
    await Promise.race([feed.ready, aborted]);
    feed.join(watcher);
    for (;;) {
      await watcher.next(signal);
      signal.throwIfAborted();
      for (let step = watcher.steps.shift(); step; step = watcher.steps.shift()) {
        yield step;
        if (step.kind === 'end') return;
      }
      if (watcher.failure) throw watcher.failure;
    }
  } finally {
    signal.removeEventListener('abort', abort);
    feed.leave(watcher);
    feeds.release(feed);
  }
}
