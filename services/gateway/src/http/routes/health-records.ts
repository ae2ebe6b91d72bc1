import { must } from '@skein/service-kit';
import { z } from 'zod';
import type { HealthRecords } from '../../ports.ts';
import { rawMember } from '../raw-json.ts';
import { type Route, route } from '../route.ts';
import { spaceId } from '../schemas/basics.ts';
import { healthRecordBegun, ledgerReport, newHealthRecord } from '../schemas/health-record.ts';
import { sagaRef } from './sagas.ts';

const tag = 'health records';
const params = z.object({ space: spaceId });

/** What it costs to check a ledger, in messages: all of it is read. */
const verifyCost = 10;

type Fault = z.infer<typeof ledgerReport>['faults'][number]['fault'];

/** Recording health data, and checking what was recorded. */
export const healthRecordRoutes = (healthRecords: HealthRecords): Route[] => [
  route({
    method: 'post',
    path: '/v1/spaces/{space}/health-records',
    repeat: 'key',
    tag,
    summary:
      'Begins to record health data: kept, put into the space and its integrity ledger, analysed; or deleted again, which the log keeps',
    access: 'documents:write',
    params,
    body: newHealthRecord,
    bodySize: 'large',
    status: 202,
    response: healthRecordBegun,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId),
    handle: async ({ params: { space }, body, rawBody, ctx }) => {
      const { question = '', device: deviceId = '' } = body;
      const valueJson = rawMember(rawBody, ['value']);
      const begun = await healthRecords.recordHealthData({ space, valueJson, question, deviceId }, ctx);
      return { recordId: begun.recordId, sagaId: sagaRef('session-sync', begun.sagaId) };
    },
  }),
  route({
    method: 'get',
    path: '/v1/spaces/{space}/health-records/ledger',
    tag,
    summary: 'Checks the integrity ledger from its first entry, and the records there are against it',
    access: 'documents:read',
    params,
    status: 200,
    response: ledgerReport,
    limit: (limits, { principal }) => limits.message(must(principal, 'signed in').userId, verifyCost),
    handle: async ({ params: { space }, ctx }) => {
      const { entries, erased, headHash, faults } = await healthRecords.verifyLedger({ space }, ctx);
      return {
        ...{ intact: faults.length === 0, entries, erased, head: { position: entries, hash: headHash } },
        faults: faults.map(({ position, fault }) => ({ position, fault: fault as Fault })),
      };
    },
  }),
];
