import { authV1 } from '@skein/contracts';
import { sagas } from '@skein/saga';
import { postgresHealthRecords } from '../adapters/postgres-health-records.ts';
import { healthRecordUseCases, type RecordingParts, recordingSteps } from '../app/health-records.ts';
import { recordHealthData } from '../app/record-health-data.ts';
import type { Base } from './base.ts';

/** Recording health data: its use cases, and the orchestrator that runs its saga. */
export const healthParts = (
  { platform, database }: Base,
  parts: Omit<RecordingParts, 'records'>,
): {
  readonly records: ReturnType<typeof healthRecordUseCases>;
  readonly orchestrator: ReturnType<typeof sagas>;
} => {
  const { log, metrics, instance } = platform;
  const auth = platform.client(authV1.AuthServiceService, 'auth', { retryable: ['getAccount'] });
  const recordingParts: RecordingParts = {
    ...parts,
    records: postgresHealthRecords(
      database,
      (tx, input, options) => orchestrator.start(tx, recordingSaga, input, options),
      () => orchestrator.wake(),
    ),
  };
  const recordingSaga = recordHealthData(
    recordingSteps(recordingParts, async (userId, call) => {
      await auth.getAccount({ userId }, call);
    }),
  );
  const orchestrator = sagas({ database, definitions: [recordingSaga], instance, log, metrics });
  return { records: healthRecordUseCases(recordingParts), orchestrator };
};
