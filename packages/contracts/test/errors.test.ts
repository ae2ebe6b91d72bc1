import { describe, expect, it } from 'vitest';
import { AppError, type Code, errorTable, grpcStatus, isCode, toAppError } from '../src/index.ts';

const rows = Object.entries(errorTable) as [Code, (typeof errorTable)[Code]][];

describe('the table of faults', () => {
  it('has stable codes in snake case', () => {
    for (const [code] of rows) expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
  });

  it('gives every fault an HTTP error, a gRPC error and a title without a full stop', () => {
    const known = new Set<number>(Object.values(grpcStatus));
    for (const [code, row] of rows) {
      expect(row.http, code).toBeGreaterThanOrEqual(400);
      expect(known.has(row.grpc), code).toBe(true);
      expect(row.title, code).toMatch(/[^.]$/);
    }
  });

  it('never calls a fault retryable that the same request would meet again', () => {
    const final: number[] = [
      grpcStatus.invalidArgument,
      grpcStatus.unauthenticated,
      grpcStatus.permissionDenied,
    ];
    for (const [code, row] of rows) if (final.includes(row.grpc)) expect(row.retryable, code).toBe(false);
  });
});

describe('AppError', () => {
  it('puts its code first in the message and keeps the cause', () => {
    const cause = new Error('socket closed');
    const error = new AppError('unavailable', 'The database is away.', { cause, retryAfterMs: 100 });
    expect(error.message).toBe('[unavailable] The database is away.');
    expect(error.cause).toBe(cause);
    expect(error.row.http).toBe(503);
  });

  it('says what the table says when nothing else is said', () => {
    expect(new AppError('not_found').detail).toBe(errorTable.not_found.title);
  });

  it('takes any thrown thing as internal, with its cause, and leaves its own alone', () => {
    const own = new AppError('forbidden');
    expect(toAppError(own)).toBe(own);
    const thrown = new TypeError('x is undefined');
    const wrapped = toAppError(thrown);
    expect(wrapped.code).toBe('internal');
    expect(wrapped.cause).toBe(thrown);
    expect(wrapped.detail).not.toContain('x is undefined');
  });

  it('knows its codes and nothing that every object has', () => {
    expect(isCode('forbidden')).toBe(true);
    expect(isCode('toString')).toBe(false);
    expect(isCode('__proto__')).toBe(false);
  });
});
