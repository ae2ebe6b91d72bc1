import { z } from 'zod';
import { anyJson, id } from './basics.ts';

/** POST /v1/spaces/{space}/health-records */
export const newHealthRecord = z.object({
  value: anyJson.describe('The record, at most 64 KB'),
  question: z.string().min(1).max(4_096).optional().describe('What the agent is asked about it'),
  device: id.optional(),
});

/** A recording that has begun. */
export const healthRecordBegun = z.object({
  recordId: id.describe('Id of the document it becomes, in the collection `health_data`'),
  sagaId: z.string().describe('What becomes of it: GET /v1/sagas/{id}'),
});

/** GET /v1/spaces/{space}/health-records/ledger */
export const ledgerReport = z
  .object({
    intact: z.boolean(),
    entries: z.int(),
    erased: z.int().describe('Entries whose content was erased; their place in the chain holds'),
    head: z.object({
      position: z.int(),
      hash: z.string().describe('Who keeps it can tell later that nothing before it was changed'),
    }),
    faults: z
      .array(
        z.object({
          position: z.int().describe('0: a record without an entry'),
          fault: z.enum(['missing', 'chain', 'record', 'document']),
        }),
      )
      .describe('At most 100'),
  })
  .meta({ id: 'LedgerReport', description: 'What checking the whole ledger of a space found' });
