import { healthRecordV1 } from '@skein/contracts';
import { type Implementation, implement } from '@skein/rpc';
import type { healthRecordUseCases } from '../app/health-records.ts';
import { callOf } from './call.ts';

const gatewayOnly = ['gateway'];

/** `skein.sync.v1.HealthRecordService`: decode, one use case, encode. */
export const healthRecordService = (app: ReturnType<typeof healthRecordUseCases>): Implementation =>
  implement(
    healthRecordV1.HealthRecordServiceService,
    {
      recordHealthData: ({ space, valueJson, question, deviceId }, ctx) => {
        const origin = { device: { id: deviceId, platform: '', name: '' } };
        return app.record(callOf(ctx, deviceId === '' ? undefined : origin), space, {
          value: valueJson,
          question,
        });
      },
      verifyLedger: async ({ space }, ctx) => {
        const { entries, erased, head, faults } = await app.verify(callOf(ctx), space);
        return { entries, erased, headHash: head.hash, faults };
      },
    },
    { allow: { recordHealthData: gatewayOnly, verifyLedger: gatewayOnly } },
  );
