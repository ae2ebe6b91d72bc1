import { z } from 'zod';
import { page, time } from './basics.ts';

/** The id of a saga here: which service runs it, and its id there. */
export const sagaId = z.string().regex(/^[A-Za-z0-9_-]{1,200}$/, 'must be an id');

/** Path of one saga. */
export const sagaPath = z.object({ id: sagaId });

const state = z
  .enum(['waiting', 'running', 'compensating', 'parked', 'done', 'compensated', 'killed'])
  .describe('The last three are ends; parked: an operator looks at it');

const failure = z.object({ code: z.string(), detail: z.string() }).optional().describe('Why it turned back');

const head = { id: z.string(), name: z.string(), state, createdAt: time, endedAt: time.optional(), failure };

/** What a person sees of an operation of their own. */
export const ownSaga = z
  .object({
    ...head,
    steps: z
      .array(z.object({ step: z.string(), kind: z.string(), at: time }))
      .describe('What happened so far'),
  })
  .meta({ id: 'Saga', description: 'An operation of several steps over several services' });

/** What operators see of a saga. */
export const adminSaga = z
  .object({
    ...head,
    service: z.string(),
    version: z.int(),
    subject: z.string().optional().describe('Id of whom it is about'),
    input: z.unknown(),
    correlationId: z.string(),
    dueAt: time.optional().describe('When somebody looks at it next, or its owner’s lease ends'),
    owner: z.string().optional(),
    attempts: z.int().describe('Failed ones at the step that is next'),
  })
  .meta({ id: 'AdminSaga' });

const entry = z.object({
  position: z.int(),
  kind: z.string(),
  step: z.string(),
  data: z.unknown().optional(),
  actor: z.string().optional(),
  reason: z.string().optional(),
  attempts: z.int(),
  tookMs: z.int(),
  at: time,
});

/** A saga with its journal. */
export const adminSagaJournal = z.object({ saga: adminSaga, entries: z.array(entry) });

/** GET /v1/admin/sagas */
export const sagaQuery = page.extend({
  service: z.string().max(64).optional().describe('Only of this service'),
  state: state.optional(),
  name: z.string().max(64).optional(),
  subject: z.string().max(255).optional().describe('Only about this person'),
});

/** What an operator can do about a saga. */
export const sagaVerb = sagaPath.extend({
  verb: z
    .enum(['cancel', 'compensate', 'retry', 'park', 'skip', 'force-complete', 'kill'])
    .describe('409 `saga_state` with the reason when it is not possible now'),
});

/** POST /v1/admin/sagas/{id}/{verb} */
export const sagaOrder = z.strictObject({
  reason: z.string().min(1).max(500).describe('Why; kept in the journal'),
  value: z.unknown().optional().describe('With skip: what the step would have given'),
});

/** The state a saga has after an order. */
export const sagaState = z.object({ state });
