import type { Clock } from '@skein/service-kit';
import type { MetricRegistry } from '@skein/telemetry';
import type { RunTurnDeps } from '../app/run-turn.ts';
import { timeOfUuid7 } from '../domain/turn.ts';

/** A language model takes its time: half a second to two minutes. */
const buckets = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

/** Measures what somebody who waits for an answer feels; a turn is as old as its id, by the clock of who made it. */
export const turnMetrics = (metrics: MetricRegistry, clock: Clock): RunTurnDeps['noticed'] => {
  const text = metrics.histogram(
    'skein_agent_first_text_seconds',
    'Time from the question to the first text of its answer.',
    buckets,
  );
  const end = metrics.histogram(
    'skein_agent_answer_seconds',
    'Time from the question to the end of its answer, by outcome.',
    buckets,
  );
  return ({ id }, what) => {
    const madeMs = timeOfUuid7(id);
    if (madeMs === undefined) return;
    const seconds = Math.max(0, clock.now() - madeMs) / 1_000;
    if (what === 'text') text.observe(seconds);
    else end.observe(seconds, { outcome: what });
  };
};
