import type { AppError } from '@skein/contracts';
import { controlFrame, type Frame } from '../live/frame.ts';

/** Facts of a fault that are numbers on the wire. */
const numbers = new Set(['expectedSeq', 'head', 'floor', 'offset', 'version']);

/** A fault as an `error` frame; facts such as `expectedSeq` stand beside code and message. */
export const errorFrame = (fault: AppError, id?: string | number): Frame =>
  controlFrame({
    ...Object.fromEntries(
      Object.entries(fault.meta).map(([key, value]) => [key, numbers.has(key) ? Number(value) : value]),
    ),
    type: 'error',
    ...(id === undefined ? {} : { id }),
    code: fault.code,
    message: fault.detail,
    retryable: fault.row.retryable,
    ...(fault.retryAfterMs === undefined ? {} : { retryAfterMs: fault.retryAfterMs }),
    ...(fault.errors.length === 0 ? {} : { errors: fault.errors }),
  });
