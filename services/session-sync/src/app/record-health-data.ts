import type { CallContext } from '@skein/rpc';
import { type CompensationContext, defineSaga, type StepContext } from '@skein/saga/definition';
import { z } from 'zod';

const input = z.object({
  record: z.string(),
  space: z.string(),
  user: z.string(),
  platform: z.string(),
  device: z.string().optional(),
});

/** Which record, whose, from where; what it says stays with the record. */
export type RecordingInput = z.infer<typeof input>;

const appended = z.object({ version: z.int(), offset: z.int(), entry: z.int() });
const analysis = z.object({ messageId: z.string(), conversationId: z.string(), turnId: z.string() });

/** What an attempt of a step here goes by. */
export type Step = Pick<StepContext, 'key' | 'signal' | 'call'>;

/** What the steps need of others and of this service. Each acts once per key. */
export interface RecordingPorts {
  /** `not_found` for a person without an account. */
  validateUser(user: string, call: CallContext): Promise<void>;
  /** Takes the record on; `not_found` when nobody asked for it. */
  save(record: string, step: Step): Promise<void>;
  dropSaved(record: string, step: Step): Promise<void>;
  /** Into the log of the space, and into its ledger in the same transaction. */
  append(input: RecordingInput, step: Step): Promise<z.infer<typeof appended>>;
  /** Out of the space, by an entry that names the one it takes back. */
  reverse(input: RecordingInput, step: Step): Promise<void>;
  /** Asks the agent about it. */
  analyse(input: RecordingInput, step: Step): Promise<z.infer<typeof analysis>>;
  cancelAnalysis(input: RecordingInput, step: Step): Promise<void>;
}

/**
 * Records health data: the person is one of ours, the record is kept, it enters the space and the integrity ledger,
 * and its analysis begins; or nothing of it is left but an entry that says it was taken back.
 */
export const recordHealthData = (ports: RecordingPorts) => {
  const undo =
    (work: (input: RecordingInput, step: Step) => Promise<void>) =>
    (ctx: CompensationContext<RecordingInput>): Promise<void> =>
      work(ctx.input, ctx);
  return defineSaga({ name: 'record-health-data', version: 1, input })
    .compensatable('validateUser', {
      refuseOn: ['not_found'],
      action: ({ input: { user }, call }) => ports.validateUser(user, call),
      // It only asks.
      compensate: async () => {},
    })
    .compensatable('save', {
      refuseOn: ['not_found', 'step_undone'],
      action: (ctx) => ports.save(ctx.input.record, ctx),
      compensate: undo(({ record }, step) => ports.dropSaved(record, step)),
    })
    .compensatable('append', {
      output: appended,
      refuseOn: ['not_found', 'forbidden', 'invalid_request', 'too_large', 'superseded', 'step_undone'],
      action: (ctx) => ports.append(ctx.input, ctx),
      compensate: undo(ports.reverse),
    })
    .compensatable('analyse', {
      output: analysis,
      refuseOn: ['not_found', 'forbidden', 'step_undone'],
      action: (ctx) => ports.analyse(ctx.input, ctx),
      compensate: undo(ports.cancelAnalysis),
    });
};
