import { AppError } from '@skein/contracts';
import type { Queryable } from '@skein/postgres';
import { currentTraceparent } from '@skein/telemetry';
import { v7 as uuidv7 } from 'uuid';
import { toData } from './attempt.ts';
import type { SagaDefinition } from './definition.ts';
import type { NewSaga } from './journal.ts';
import { checkLocks } from './locks.ts';

/** How a saga is started. */
export interface StartOptions {
  /** The same saga started with the same key again is the one that is there. At most 255 characters. */
  readonly key?: string | undefined;
  /** Whom it is about, such as a person's id; to find and to authorise. At most 255 characters. */
  readonly subject?: string | undefined;
  /** Goes down every call. Default: the saga's id. */
  readonly correlationId?: string | undefined;
}

/** A saga that is about to be written down. */
export interface Prepared<Input> {
  readonly saga: NewSaga;
  readonly input: Input;
  readonly locks: readonly string[];
}

const maxKeyLength = 255;

/** Checks what a saga is started with and makes its first row; `invalid_request` for what does not fit. */
export const prepareSaga = <Input>(
  definition: SagaDefinition<Input>,
  given: Input,
  { key, subject, correlationId }: StartOptions,
): Prepared<Input> => {
  const { name, version } = definition;
  const result = definition.input.safeParse(given);
  if (!result.success)
    throw new AppError('invalid_request', `The input of saga ${name} does not fit`, {
      errors: result.error.issues
        .slice(0, 20)
        .map(({ path, message }) => ({ path: path.join('.'), message })),
    });
  for (const [path, text] of Object.entries({ key, subject }))
    if (text !== undefined && (text === '' || text.length > maxKeyLength))
      throw new AppError('invalid_request', `The ${path} of a saga has 1 to ${maxKeyLength} characters`);
  const id = uuidv7();
  const input = result.data as Input;
  return {
    saga: {
      id,
      name,
      version,
      key,
      subject,
      input: toData(input, `The input of saga ${name}`),
      correlationId: correlationId ?? id,
      traceparent: currentTraceparent(),
    },
    input,
    locks: checkLocks(name, definition.locks(input)),
  };
};

/** The saga that has this key already, if any; `idempotency_mismatch` when it was started with another input. */
export const sagaWithKey = async (
  db: Queryable,
  { name, key, input }: NewSaga,
): Promise<string | undefined> => {
  if (key === undefined) return undefined;
  const [row] = await db.query<{ id: string; input: string }>(
    { name: 'skein_saga_by_key', text: 'select id, input from saga where name = $1 and key = $2' },
    [name, key],
  );
  if (row && row.input !== input) throw new AppError('idempotency_mismatch');
  return row?.id;
};
