import type { AppParts } from './parts.ts';
import type { Sweeps } from './ports.ts';
import { turnUseCases } from './turns.ts';

/** Turns ended per sweep; the rest is the next one's. */
const turnsPerSweep = 100;

/** Fails turns nobody ends, and forgets what nobody will ask for any more. */
export const sweepUseCase = (parts: AppParts, sweeps: Sweeps, turnTimeoutMs: number) => {
  const turns = turnUseCases(parts);
  return async (): Promise<void> => {
    const nowMs = parts.clock.now();
    for (const { space, turnId } of await sweeps.overdueTurns(nowMs - turnTimeoutMs, turnsPerSweep))
      await turns.end(
        { correlationId: `sweep-${turnId}`, traceparent: undefined },
        { space, turnId, outcome: 'failed', text: '', errorCode: 'turn_timeout', meta: '' },
        { kind: 'system', platform: 'skein' },
      );
    await sweeps.forget(nowMs);
  };
};
