import { z } from 'zod';
import { page, time } from './basics.ts';

/** Why an operator does something; kept in the journal. */
const reason = z.string().min(1).max(500).describe('Why; kept in the journal');

/** An event a consumer has given up. */
export const deadLetter = z
  .object({
    id: z.string(),
    service: z.string(),
    consumer: z.string(),
    eventId: z.string(),
    type: z.string(),
    subject: z.string().describe('User or space id'),
    error: z.string().describe('What its last attempt said'),
    attempts: z.int(),
    diedAt: time,
  })
  .meta({ id: 'DeadLetter', description: 'A domain event that a consumer has given up' });

/** Path of one dead letter. */
export const deadLetterPath = z.object({ id: z.string().regex(/^[A-Za-z0-9_-]{1,600}$/, 'must be an id') });

/** An order that only needs its reason. */
export const order = z.strictObject({ reason });

/** What became of a retry. */
export const retried = z.object({
  outcome: z.enum(['done', 'duplicate', 'failed']),
  error: z.string().optional(),
});

/** Services by name. */
export const serviceQuery = page.extend({
  service: z.string().max(64).optional().describe('Only of this service'),
});

/** What is to be published again. */
export const replayOrder = z.strictObject({
  service: z.string().max(64).describe('The service that published: `auth` or `session-sync`'),
  from: z.iso.datetime().describe('Events written at this time or later, at most 7 days ago'),
  reason,
});
