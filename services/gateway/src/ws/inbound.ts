import { AppError, toAppError } from '@skein/contracts';
import type { z } from 'zod';
import { type Json, parseStrictJson } from '../http/strict-json.ts';

/** A frame's JSON before its type is looked at. */
export interface Inbound {
  readonly type: string;
  /** What answers it; undefined when the client wants none. */
  readonly id: string | number | undefined;
  readonly value: Json;
  readonly bytes: Buffer;
}

/**
 * One text frame as JSON with a type. AppError `malformed_json` or `invalid_request` (not an object, no type, an
 * `id` that is neither text nor whole number, too deep, `__proto__`).
 */
export const parseFrame = (bytes: Buffer): Inbound => {
  let value: Json;
  try {
    value = parseStrictJson(bytes);
  } catch (error) {
    const fault = toAppError(error);
    throw new AppError(fault.code, fault.detail.replace('The body', 'The frame'), { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new AppError('invalid_request', 'A frame is a JSON object');
  }
  const { type, id } = value as { readonly type?: Json; readonly id?: Json };
  if (typeof type !== 'string') throw new AppError('invalid_request', 'A frame has a type');
  const usable = (typeof id === 'string' && id.length <= 128) || Number.isSafeInteger(id);
  if (id !== undefined && !usable) throw new AppError('invalid_request', 'id must be text or a whole number');
  return { type, id: id as string | number | undefined, value, bytes };
};

/** The value in the shape of a schema. AppError `invalid_request` with every wrong field. */
export const decode = <S extends z.ZodType>(schema: S, value: unknown): z.infer<S> => {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors = result.error.issues
    .slice(0, 20)
    .map((issue) => ({ path: issue.path.map(String).join('.'), message: issue.message }));
  const [first] = errors;
  throw new AppError('invalid_request', first ? `${first.path}: ${first.message}` : undefined, { errors });
};
