import { type Sha256, toHex } from '@skein/sync-core';
import { refuse, unchanged } from '../domain/decision.ts';
import { keyOf } from '../domain/state.ts';
import type { Call } from './ports.ts';
import type { Unit } from './writer.ts';

/**
 * The unit, done once per (person, method, idempotency key): its answer is stored with its effect, and for 24 hours
 * the same request gets it again. Another `body` under the key is refused with `idempotency_mismatch`. A call without
 * a key is done as often as it comes. The answer goes through JSON.
 */
export const once = <R>(
  sha256: Sha256,
  unit: Unit<R>,
  call: Call,
  method: string,
  body: readonly unknown[],
): Unit<R> => {
  const { userId, idempotencyKey: key } = call;
  if (key === undefined) return unit;
  const bodyHash = toHex(sha256(new TextEncoder().encode(JSON.stringify(body))));
  const request = { userId, method, key };
  return {
    ...unit,
    needs: { ...unit.needs, request },
    decide: (state, nowMs) => {
      const known = state.requests.get(keyOf(userId, method, key));
      if (known?.bodyHash === bodyHash) return unchanged((JSON.parse(known.result) as { value: R }).value);
      if (known) return refuse('idempotency_mismatch', 'This idempotency key was used with another request');
      const decision = unit.decide(state, nowMs);
      if ('refused' in decision) return decision;
      const row = { ...request, bodyHash, result: JSON.stringify({ value: decision.result }) };
      return { ...decision, writes: { ...decision.writes, requests: [row] } };
    },
  };
};
