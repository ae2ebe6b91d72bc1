import { num, str } from './decode.ts';
import type { ClientFrame, ErrorFrame, Fields, ServerFrame } from './frames.ts';
import type { Clock } from './ports.ts';

/** A command the server refused, or that got no answer. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly code: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(code: string, message: string, retryable: boolean, retryAfterMs?: number) {
    super(message);
    this.code = code;
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Commands under way at once; the server's own `maxInflight` is of this order. */
export const pendingMax = 64;
/** A command without an answer after this long is given up: the connection is probably gone. */
export const answerTimeoutMs = 15_000;

interface Pending {
  resolve(fields: Fields): void;
  reject(error: CommandError): void;
  cancelTimer(): void;
}

/** Pairs commands with their one `result` or `error` by `id`. */
export interface Requests {
  /** Sends a command and resolves with its result. Rejects with `CommandError`. */
  ask(frame: ClientFrame): Promise<Fields>;
  /** Takes an answer; anything else is left alone. */
  take(frame: ServerFrame): void;
  /** Rejects everything under way as retryable: the connection is gone. */
  abandon(): void;
}

/** Requests over a way to send. `newId` makes frame ids. */
export function createRequests(deps: {
  clock: Clock;
  newId: () => string;
  send: (frame: ClientFrame) => void;
}): Requests {
  const pending = new Map<string, Pending>();
  const settle = (id: string): Pending | undefined => {
    const found = pending.get(id);
    pending.delete(id);
    found?.cancelTimer();
    return found;
  };
  return {
    ask: (frame) =>
      new Promise((resolve, reject) => {
        if (pending.size >= pendingMax) {
          reject(new CommandError('overloaded', 'Too many commands under way', true));
          return;
        }
        const id = deps.newId();
        const cancelTimer = deps.clock.after(answerTimeoutMs, () => {
          settle(id)?.reject(new CommandError('deadline_exceeded', 'No answer', true));
        });
        pending.set(id, { resolve, reject, cancelTimer });
        deps.send({ ...frame, id });
      }),
    take: (frame) => {
      if (frame.type === 'result') settle(frame.id)?.resolve(frame.fields);
      if (frame.type === 'error' && frame.id !== undefined) settle(frame.id)?.reject(toError(frame));
    },
    abandon: () => {
      for (const id of [...pending.keys()])
        settle(id)?.reject(new CommandError('unavailable', 'Connection lost', true));
    },
  };
}

/** The fields a `message` result carries. */
export function readAccepted(result: Fields): { messageId: string; conversationId: string; offset: number } {
  return {
    messageId: str(result['messageId']),
    conversationId: str(result['conversationId']),
    offset: num(result['offset']),
  };
}

function toError(frame: ErrorFrame): CommandError {
  return new CommandError(frame.code, frame.message, frame.retryable, frame.retryAfterMs);
}
