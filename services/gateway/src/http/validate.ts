import { AppError, type FieldError } from '@skein/contracts';
import { isIdempotencyKey, maxIdempotencyKeyLength } from '@skein/rpc';
import type { Request } from 'express';
import type { z } from 'zod';

/** More faults than this help nobody. */
const maxErrors = 20;

/** The decoded value, or `invalid_request` with every wrong field; `where` stands before the paths. */
export const decode = <T>(schema: z.ZodType<T> | undefined, value: unknown, where: string): T | undefined => {
  if (!schema) return undefined;
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors: FieldError[] = result.error.issues.slice(0, maxErrors).map(({ path, message }) => ({
    path: [where, ...path.map(String)].filter(Boolean).join('.'),
    message,
  }));
  throw new AppError('invalid_request', undefined, { errors });
};

/** The query as an object of texts; a parameter given twice is refused rather than guessed about. */
export const queryOf = (req: Request): Record<string, string> => {
  const { searchParams } = new URL(req.url, 'http://gateway');
  const query: Record<string, string> = {};
  for (const [name, value] of searchParams) {
    if (name === '__proto__' || Object.hasOwn(query, name)) {
      const errors = [{ path: `query.${name.slice(0, 100)}`, message: 'must be given once' }];
      throw new AppError('invalid_request', undefined, { errors });
    }
    query[name] = value;
  }
  return query;
};

/** `Idempotency-Key`, or empty; visible ASCII only. */
export const idempotencyKeyOf = (req: Request): string => {
  const key = req.headers['idempotency-key'] ?? '';
  if (typeof key === 'string' && (key === '' || isIdempotencyKey(key))) return key;
  const message = `must be 1 to ${maxIdempotencyKeyLength} visible ASCII characters`;
  const errors = [{ path: 'Idempotency-Key', message }];
  throw new AppError('invalid_request', undefined, { errors });
};
