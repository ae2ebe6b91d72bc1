import { AppError } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import { type Json, type Sha256, toHex, valueFault, valueHash } from '@skein/sync-core';
import type { Actor } from '../domain/event.ts';
import { appendRecord, type RecordAppended, recordFault, takeRecordBack } from '../domain/health-record.ts';
import { type LedgerDocument, ledgerCheck, ledgerCollection } from '../domain/ledger.ts';
import type { LedgerRow } from '../domain/state.ts';
import type { AppendMessage } from './messages.ts';
import { type AppParts, visibleSpace } from './parts.ts';
import type { Call } from './ports.ts';
import { questions } from './questions.ts';
import type { RecordingInput, RecordingPorts, Step } from './record-health-data.ts';
import { stepOnce, stepUndone } from './step-once.ts';
import { byteLength, checkedJson, checkedText, questionBytes } from './validate.ts';

/** A record on its way: what was asked for, until it is in the log. */
export interface PendingRecord {
  readonly id: string;
  readonly space: string;
  readonly userId: string;
  /** JSON text. */
  readonly value: string;
  /** What the agent is asked about it. */
  readonly question: string;
  readonly createdAtMs: number;
}

/** Records on their way, and the ledgers of spaces. */
export interface HealthRecords {
  /**
   * Keeps the record and starts its saga, or neither. The same key with the same body gives the first answer again;
   * with another body it is `idempotency_mismatch`.
   */
  begin(
    record: PendingRecord,
    input: RecordingInput,
    once: { readonly key: string | undefined; readonly bodyHash: string; readonly correlationId: string },
  ): Promise<{ readonly recordId: string; readonly sagaId: string }>;
  /** `not_found` when there is none. */
  get(id: string): Promise<PendingRecord>;
  /** Once per step. */
  save(id: string, stepKey: string): Promise<void>;
  drop(id: string, stepKey: string): Promise<void>;
  /** Tells the chain of a space in order, and then the records there are: in pages, as of one moment. */
  readLedger(
    space: string,
    told: {
      readonly entry: (row: LedgerRow) => void;
      readonly document: (row: LedgerDocument) => void;
    },
    signal: AbortSignal,
  ): Promise<void>;
}

/** What recording is made of. */
export interface RecordingParts
  extends Pick<AppParts, 'writer' | 'names' | 'reads' | 'clock' | 'ids' | 'sha256' | 'rulesOf'> {
  readonly records: HealthRecords;
  readonly appendMessage: AppendMessage;
}

/** A record, as one asks for it. Larger things are files. */
const valueBytes = 64 * 1024;
const defaultQuestion = 'Please look at my new health record.';

const textHash = (sha256: Sha256, text: string): string => toHex(sha256(new TextEncoder().encode(text)));

/** Asking for a record, and checking the ledger. */
export const healthRecordUseCases = (parts: RecordingParts) => ({
  /** Begins a recording; what becomes of it is told by its saga. */
  record: async (
    call: Call,
    name: string,
    given: { readonly value: string; readonly question: string },
  ): Promise<{ readonly recordId: string; readonly sagaId: string }> => {
    const { ids, clock, rulesOf, records, sha256 } = parts;
    if (byteLength(given.value) > valueBytes)
      throw new AppError('too_large', `A health record must be at most ${valueBytes} bytes long`);
    const value = checkedJson('value', given.value, valueBytes);
    const fault = valueFault(value);
    if (fault)
      throw new AppError('invalid_request', `value ${fault.message}`, {
        errors: [{ path: `value${fault.path}`, message: fault.message }],
      });
    const question = checkedText('question', given.question || defaultQuestion, { max: questionBytes });
    const { id: space, role } = await visibleSpace(parts, call, name);
    if (role === 'viewer') throw new AppError('forbidden', 'This needs the role editor');
    const unfit = recordFault(rulesOf, given.value);
    if (unfit) throw new AppError(unfit.refused.code, unfit.refused.detail);
    const record = ids.next();
    return records.begin(
      { id: record, space, userId: call.userId, value: given.value, question, createdAtMs: clock.now() },
      { record, space, user: call.userId, platform: call.platform, device: call.device?.id },
      {
        key: call.idempotencyKey,
        bodyHash: textHash(sha256, JSON.stringify([space, given.value, given.question])),
        correlationId: call.correlationId,
      },
    );
  },
  /** Checks the chain of a space and what it says against the records there are. */
  verify: async (call: Call, name: string) => {
    const { id } = await visibleSpace(parts, call, name);
    const check = ledgerCheck(parts.sha256, id);
    await parts.records.readLedger(id, check, call.signal);
    return check.end();
  },
});

/** The message that asks for an analysis, by the record. */
const questionId = (record: string): string => `health-record-${record}`;

/** The steps of a recording in this service. */
export const recordingSteps = (
  parts: RecordingParts,
  validateUser: (user: string, call: CallContext) => Promise<void>,
): RecordingPorts => {
  const { writer, records, sha256, rulesOf } = parts;
  const asking = questions(parts);
  const attemptOf = ({ key, signal, call }: Step) => ({ key, signal, correlationId: call.correlationId });
  const actorOf = ({ user, device, platform }: RecordingInput): Actor => ({
    kind: 'user',
    user,
    device,
    platform,
  });
  const system: Actor = { kind: 'system', platform: 'skein' };
  const unitOf = ({ space, record }: RecordingInput, { call }: Step) => ({
    space,
    needs: { documents: [{ collection: ledgerCollection, id: record }] },
    correlationId: call.correlationId,
  });

  return {
    validateUser,
    save: (record, { key }) => records.save(record, key),
    dropSaved: (record, { key }) => records.drop(record, key),
    append: async (input, step) => {
      const { needs, ...unit } = unitOf(input, step);
      const { value } = await records.get(input.record);
      const command = {
        ...{ id: input.record, userId: input.user, actor: actorOf(input), rulesOf },
        value,
        hashOf: (value: Json) => valueHash(value, sha256),
      };
      return writer.write<RecordAppended>(
        stepOnce(
          {
            ...unit,
            needs: { ...needs, members: [input.user] },
            decide: (state, nowMs) => appendRecord(state, { ...command, nowMs }),
            bytes: 2 * value.length,
          },
          step.key,
        ),
        step.signal,
      );
    },
    reverse: async (input, step) => {
      const command = { id: input.record, actor: system };
      await writer.write(
        stepUndone<RecordAppended>(unitOf(input, step), step.key, (state, { entry }, nowMs) =>
          takeRecordBack(state, { ...command, entry, nowMs }),
        ),
        step.signal,
      );
    },
    analyse: async (input, step) => {
      const { question } = await records.get(input.record);
      const { messageId, conversationId, turnId } = await asking.ask(
        {
          ...{ space: input.space, user: input.user, device: input.device, platform: input.platform },
          ...{ id: questionId(input.record), conversationId: '', persona: '', text: question },
          attachments: JSON.stringify([{ collection: ledgerCollection, id: input.record }]),
        },
        attemptOf(step),
      );
      return { messageId, conversationId, turnId };
    },
    cancelAnalysis: ({ space, user, record }, step) =>
      asking.withdraw({ space, user, id: questionId(record) }, attemptOf(step)),
  };
};
