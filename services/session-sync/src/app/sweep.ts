import type { Clock } from '@skein/service-kit';
import type { Retention, Sweeps } from './ports.ts';
import type { turnUseCases } from './turns.ts';

/** Turns ended per sweep; the rest is the next one's. */
const turnsPerSweep = 100;

/** What a sweep is made of. */
export interface SweepOptions {
  readonly turns: Pick<ReturnType<typeof turnUseCases>, 'end'>;
  readonly sweeps: Sweeps;
  readonly clock: Clock;
  readonly turnTimeoutMs: () => number;
  readonly retained: () => readonly Retention[];
  /** Told of a turn that could not be ended; the next sweep tries it again. */
  readonly failed: (error: unknown, turnId: string) => void;
}

/** Fails turns nobody ends, and forgets what nobody will ask for any more. One turn that cannot be ended stops neither. */
export const sweepUseCase =
  ({ turns, sweeps, clock, turnTimeoutMs, retained, failed }: SweepOptions) =>
  async (): Promise<void> => {
    const nowMs = clock.now();
    for (const { space, turnId } of await sweeps.overdueTurns(nowMs - turnTimeoutMs(), turnsPerSweep))
      try {
        await turns.end(
          { correlationId: `sweep-${turnId}`, traceparent: undefined },
          { space, turnId, outcome: 'failed', text: '', errorCode: 'turn_timeout', meta: '' },
          { kind: 'system', platform: 'skein' },
        );
      } catch (error) {
        failed(error, turnId);
      }
    await sweeps.forget(nowMs, retained());
  };
