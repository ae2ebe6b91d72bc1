import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeRpcStatus, encodeRpcStatus } from '../src/rpc-status.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 40 });

test('whatever is written is read again', () => {
  fc.assert(
    fc.property(
      fc.record({
        code: fc.integer({ min: 0, max: 16 }),
        message: text,
        reason: text,
        domain: text,
        metadata: fc.dictionary(text, text, { maxKeys: 5, noNullPrototype: true }),
        retryAfterMs: fc.option(fc.integer({ min: 0, max: 86_400_000 }), { nil: undefined }),
        errors: fc.array(fc.record({ path: text, message: text }), { maxLength: 4 }),
      }),
      (status) => {
        expect(decodeRpcStatus(encodeRpcStatus(status))).toEqual(status);
      },
    ),
  );
});

test('the bytes are those of google.rpc.Status with ErrorInfo and RetryInfo', () => {
  const bytes = encodeRpcStatus({
    code: 14,
    message: 'm',
    reason: 'r',
    domain: 'd',
    metadata: { k: 'v' },
    retryAfterMs: 1_500,
    errors: [],
  });
  // As protoc --encode=google.rpc.Status writes it.
  const errorInfo = `0a28${Buffer.from('type.googleapis.com/google.rpc.ErrorInfo').toString('hex')}`;
  const retryInfo = `0a28${Buffer.from('type.googleapis.com/google.rpc.RetryInfo').toString('hex')}`;
  expect(bytes.toString('hex')).toBe(
    `080e12016d1a3a${errorInfo}120e0a01721201641a060a016b120176` + `1a36${retryInfo}120a0a0808011080cab5ee01`,
  );
});

test('random bytes are read or refused, never more', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decodeRpcStatus(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }),
    { numRuns: 2_000 },
  );
});
