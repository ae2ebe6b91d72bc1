import type { MetricRegistry } from '@skein/telemetry';

/** What the orchestrator counts. */
export const sagaMetrics = (metrics: MetricRegistry) => ({
  started: metrics.counter('skein_saga_started_total', 'Sagas started, by saga'),
  ended: metrics.counter(
    'skein_saga_ended_total',
    'Sagas that came to an end or were parked, by saga and state',
  ),
  attempts: metrics.counter(
    'skein_saga_attempts_total',
    'Attempts at steps, by saga, step, direction and outcome',
  ),
  verbs: metrics.counter('skein_saga_verbs_total', 'What people did about sagas, by verb'),
  takenOver: metrics.counter(
    'skein_saga_taken_over_total',
    'Sagas claimed after their owner’s lease had ended',
  ),
  lost: metrics.counter('skein_saga_lost_total', 'Sagas somebody else had taken over meanwhile'),
  inHand: metrics.gauge('skein_saga_in_hand', 'Sagas this process is working on'),
  live: metrics.gauge('skein_saga_live', 'Sagas of the service that have not ended, by state'),
  oldest: metrics.gauge('skein_saga_oldest_seconds', 'Age of the oldest saga that has not ended'),
  missing: metrics.gauge(
    'skein_saga_missing_definitions',
    'Sagas that run on a definition this process does not have',
  ),
  overdue: metrics.gauge(
    'skein_saga_overdue',
    'Sagas nobody has looked at although they are due for a minute: no replica has their definition, or none can keep up',
  ),
  stuck: metrics.gauge(
    'skein_saga_stuck_compensations',
    'Sagas whose compensation has failed ten times or more; it is tried on',
  ),
});

/** The metrics of one process. */
export type SagaMetrics = ReturnType<typeof sagaMetrics>;
