import { AppError } from '@skein/contracts';
import { type CallContext, rootContext } from '@skein/rpc';
import type { Attempted } from './decide.ts';
import type { CompensationContext, Step } from './definition.ts';
import { maxDataBytes } from './schema.ts';
import type { Failure } from './state.ts';
import { type Direction, stepKey } from './step-key.ts';

/** Longest text of a failure in the journal. */
const maxDetail = 1_000;

/**
 * A thrown thing as the journal keeps it. Only a fault's own text is made for others to read; of anything else the
 * journal has the kind and the log the rest.
 */
export const failureOf = (error: unknown): Failure =>
  error instanceof AppError
    ? { code: error.code, detail: error.detail.slice(0, maxDetail) }
    : { code: 'internal', detail: error instanceof Error ? error.name : 'not an error' };

/** A value as JSON text for the journal; throws for one that is too large. */
export const toData = (value: unknown, what: string): string => {
  const text = JSON.stringify(value);
  // A character is 3 bytes at most.
  if (text.length * 3 > maxDataBytes && Buffer.byteLength(text) > maxDataBytes)
    throw new AppError(
      'too_large',
      `${what} is larger than ${maxDataBytes} bytes: keep it with its owner and pass its id`,
    );
  return text;
};

/** What an attempt is about. */
export interface AttemptOptions {
  readonly sagaId: string;
  readonly correlationId: string;
  readonly input: unknown;
  readonly results: Readonly<Record<string, unknown>>;
  readonly step: Step;
  readonly direction: Direction;
  readonly attempt: number;
}

/** The context of an attempt. Signal and call context are made when they are asked for: most steps need one of them. */
export class Attempt implements CompensationContext {
  readonly sagaId: string;
  readonly input: unknown;
  readonly results: Readonly<Record<string, unknown>>;
  readonly attempt: number;
  readonly key: string;
  readonly #correlationId: string;
  readonly #step: Step;
  readonly #direction: Direction;
  readonly #timeoutMs: number;
  #controller: AbortController | undefined;
  #call: CallContext | undefined;
  #settle: ((attempted: Attempted) => void) | undefined;
  #aborted: AppError | undefined;

  constructor(options: AttemptOptions) {
    const { sagaId, step, direction } = options;
    this.sagaId = sagaId;
    this.input = options.input;
    this.results = options.results;
    this.attempt = options.attempt;
    this.key = stepKey(sagaId, step.name, direction);
    this.#correlationId = options.correlationId;
    this.#step = step;
    this.#direction = direction;
    this.#timeoutMs = typeof step.timeoutMs === 'function' ? step.timeoutMs() : step.timeoutMs;
  }

  get output(): unknown {
    return this.results[this.#step.name];
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#aborted) this.#controller.abort(this.#aborted);
    return this.#controller.signal;
  }

  get call(): CallContext {
    this.#call ??= rootContext({
      timeoutMs: this.#timeoutMs,
      signal: this.signal,
      correlationId: this.#correlationId,
      idempotencyKey: this.key,
    });
    return this.#call;
  }

  /** Gives the attempt up; what it still does is not waited for, its outcome is unknown. */
  abort(fault: AppError): void {
    this.#aborted ??= fault;
    this.#controller?.abort(fault);
    this.#settle?.({ kind: 'unknown', failure: failureOf(fault) });
  }

  /** Runs the step once. Never rejects; `failed` hears of what was thrown. */
  run(failed: (error: unknown) => void): Promise<Attempted> {
    const step = this.#step;
    return new Promise((resolve) => {
      this.#settle = resolve;
      const timer = setTimeout(() => {
        this.abort(new AppError('deadline_exceeded', `The step took longer than ${this.#timeoutMs} ms`));
      }, this.#timeoutMs);
      const settle = (attempted: Attempted) => {
        clearTimeout(timer);
        resolve(attempted);
      };
      this.#act().then(
        (data) => settle({ kind: 'ok', data }),
        (error: unknown) => {
          const failure = failureOf(error);
          const refused = error instanceof AppError && step.refuseOn.includes(error.code);
          if (!refused) failed(error);
          settle({ kind: refused ? 'refused' : 'unknown', failure });
        },
      );
    });
  }

  async #act(): Promise<string | undefined> {
    const step = this.#step;
    if (this.#direction === 'undo') {
      await step.compensate?.(this);
      return undefined;
    }
    const value = await step.action(this);
    return step.output ? toData(step.output.parse(value), `The output of ${step.name}`) : undefined;
  }
}
