import { z } from 'zod';
import { anyJson, id, time } from './basics.ts';
import { documentId } from './document.ts';

/** Which conflicts a list holds. */
export const conflictState = z.enum(['open', 'settled', 'resolved', 'undone']);

const side = { value: anyJson.optional().describe('Absent: it was not there') };

/** Two writes of one field that did not know of each other, and what became of them. */
export const conflict = z
  .object({
    id,
    collection: z.string(),
    documentId,
    field: z.string().describe('JSON Pointer; empty for the whole document'),
    strategy: z.string(),
    reason: z.string().describe('What chose: server, client, newest, larger, smaller, manual, delete'),
    state: conflictState.describe('open: a person must choose'),
    winner: z.enum(['server', 'client']).describe('Of an open one only for the time being'),
    server: z.object({ version: z.int().describe('The version the client met'), ...side }),
    client: z.object({
      user: id,
      device: z.string(),
      seq: z.int().optional(),
      baseVersion: z.int().describe('The version it had seen'),
      ...side,
    }),
    version: z.int().describe('Of the document right after'),
    createdAt: time,
    ended: z
      .object({
        choice: z.enum(['server', 'client', 'value']),
        by: id,
        at: time,
        version: z.int().describe('Of the document after it'),
      })
      .optional(),
  })
  .meta({ id: 'Conflict' });

/** POST /v1/spaces/{space}/conflicts/{conflict}/resolve */
export const resolution = z
  .object({
    choice: z.enum(['server', 'client', 'value']),
    value: anyJson.optional().describe('What stands instead of both; of the choice `value`'),
    version: z.int().min(0).describe('The version of the document the person has seen'),
    device: id.optional(),
  })
  .refine((body) => (body.choice === 'value') === (body.value !== undefined), {
    path: ['value'],
    error: 'goes with the choice "value", and only with it',
  });

/** POST /v1/spaces/{space}/conflicts/{conflict}/undo */
export const undoing = z.object({ device: id.optional() }).optional();

/** How a conflict ended. */
export const endedConflict = z
  .object({
    conflictId: id,
    state: z.enum(['resolved', 'undone']),
    collection: z.string(),
    documentId,
    version: z.int().describe('Of the document after it'),
    offset: z.int().describe('Of `conflict.resolved`; 0 when it had ended like this before'),
  })
  .meta({ id: 'EndedConflict' });
