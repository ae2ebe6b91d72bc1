import { AppError, type authV1, healthRecordV1, sagaV1, toAppError } from '@skein/contracts';
import { type RpcClient, rootContext } from '@skein/rpc';
import type { Calls } from './calls.ts';
import type { Ground } from './disk.ts';
import { startMachine } from './machine.ts';

/** A recording that was asked for. */
export interface Asked {
  readonly space: string;
  /** What the server said when it had taken it on. */
  readonly answer?: { readonly recordId: string; readonly sagaId: string } | undefined;
}

/** Who has health data recorded, by sagas of session-sync, and an operator who interferes with these. */
export interface Recorder {
  /** Asks for one recording, again and again until there is an answer. */
  record(): void;
  /** By the key of the request. */
  readonly asked: ReadonlyMap<string, Asked>;
  /** Requests without an answer. */
  readonly waiting: number;
}

const retryMs = { min: 100, max: 2_000 };
const hopMs = { min: 1, max: 12 };
/** At times an answer takes its time: then a saga is under way for long enough to be acted on, or taken over. */
const slowMs = { min: 100, max: 6_000 };
/** When an operator acts on a saga, after it was begun. */
const verbMs = { min: 0, max: 400 };
/** How often the operator looks for sagas that wait for one. */
const tendMs = 4_000;

/** Accounts as session-sync asks for them: at times nobody answers, or late, at times the person has none. */
export const simulatedAccounts = ({ schedule, random, faults }: Ground) => {
  const getAccount = async ({ userId }: authV1.GetAccountRequest) => {
    const { min, max } = !faults.over && random.chance(0.4) ? slowMs : hopMs;
    await new Promise<void>((resolve) => schedule.after(random.between(min, max), resolve));
    if (faults.happens('lostCall') || faults.happens('lostAnswer')) throw new AppError('unavailable');
    if (!faults.over && random.chance(0.1)) throw new AppError('not_found', 'There is no such account');
    return { account: { userId } };
  };
  return { getAccount } as unknown as RpcClient<authV1.AuthServiceService>;
};

/** Records for any of `users`, in any of `spaces`, by the calls a gateway would make. */
export const createRecorder = (
  { schedule, random }: Ground,
  calls: Calls,
  { users, spaces }: { readonly users: readonly string[]; readonly spaces: readonly string[] },
  wrong: (text: string) => void,
): Recorder => {
  const machine = startMachine('recorder', 0);
  const records = calls.client(machine, healthRecordV1.HealthRecordServiceService);
  const sagas = calls.client(machine, sagaV1.SagaServiceService);
  const asked = new Map<string, Asked>();
  let waiting = 0;
  const pause = () =>
    new Promise<void>((resolve) => schedule.after(random.between(retryMs.min, retryMs.max), resolve));
  const failed = (what: string, error: unknown) => {
    const fault = toAppError(error);
    if (fault.code === 'internal') wrong(`recording: ${what} was answered by ${fault.code}`);
    return fault.row.retryable;
  };
  const asOperator = () =>
    rootContext({
      actor: { userId: 'operator', scopes: ['operator'], platform: 'simulated' },
      timeoutMs: 5_000,
    });
  const operate = (id: string, verb: string) =>
    sagas.operateSaga({ id, verb, reason: 'the seed says so', valueJson: '' }, asOperator());

  /** Acts on a saga that may still be under way; often it is over, or cannot be. */
  const interfere = async (id: string): Promise<void> => {
    const verb = random.pick(['cancel', 'cancel', 'cancel', 'park', 'retry', 'compensate']);
    await operate(id, verb).catch((error: unknown) => failed(`${verb} of a saga`, error));
  };

  const ask = async (key: string, user: string, space: string): Promise<void> => {
    const wanted = { space, valueJson: JSON.stringify({ mark: key }), question: '', deviceId: key };
    const as = { userId: user, scopes: ['documents:write', 'messages:write'], platform: 'simulated' };
    for (;;) {
      try {
        const context = rootContext({ actor: as, timeoutMs: 5_000, idempotencyKey: key });
        const answer = await records.recordHealthData(wanted, context);
        asked.set(key, { space, answer });
        for (let verbs = random.chance(0.6) ? random.between(1, 3) : 0; verbs > 0; verbs -= 1)
          schedule.after(random.between(verbMs.min, verbMs.max), () => void interfere(answer.sagaId));
        return;
      } catch (error) {
        if (!failed(key, error)) return;
        await pause();
      }
    }
  };

  /** Nothing stays parked. */
  const tend = async (): Promise<void> => {
    try {
      const filter = { states: ['parked'], name: '', subject: '', limit: 0, cursor: '' };
      const { items } = await sagas.listSagas(filter, asOperator());
      for (const { id } of items) await operate(id, 'retry');
    } catch (error) {
      failed('an operator', error);
    }
    schedule.after(tendMs, () => void tend());
  };
  schedule.after(tendMs, () => void tend());

  return {
    asked,
    get waiting() {
      return waiting;
    },
    record: () => {
      const key = `record-${asked.size + 1}`;
      const [user, space] = [random.pick(users), random.pick(spaces)];
      asked.set(key, { space });
      waiting += 1;
      void ask(key, user, space).finally(() => {
        waiting -= 1;
      });
    },
  };
};
