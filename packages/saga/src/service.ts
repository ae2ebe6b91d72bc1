import { AppError, sagaV1 } from '@skein/contracts';
import { type CallContext, type Handlers, type Implementation, implement } from '@skein/rpc';
import { isSagaId, type SagaRow, type StoredEntry } from './claims.ts';
import { type Inspected, maxPage } from './inspect.ts';
import type { Sagas } from './orchestrator.ts';
import { type Failure, sagaStates } from './state.ts';
import { type Verb, verbKinds } from './verbs.ts';

/** The operator a call acts for; their id is what the journal keeps. */
const operatorOf = ({ actor }: CallContext): string => {
  if (!actor) throw new AppError('unauthenticated');
  if (!actor.scopes.includes('operator')) throw new AppError('forbidden', 'This is for operators');
  return actor.userId;
};

const invalid = (path: string, message: string): AppError =>
  new AppError('invalid_request', undefined, { errors: [{ path, message }] });

/** One of a closed set, or a fault that names them. */
const oneOf = <const T extends string>(path: string, values: readonly T[], given: string): T => {
  const found = values.find((value) => value === given);
  if (!found) throw invalid(path, `must be one of ${values.join(', ')}`);
  return found;
};

const cursorOf = (cursor: string): string | undefined => {
  if (cursor !== '' && !isSagaId(cursor)) throw invalid('cursor', 'not a cursor of this list');
  return cursor || undefined;
};

const limitOf = (limit: number): number => {
  if (limit < 0 || limit > maxPage) throw invalid('limit', `must be 1 to ${maxPage}`);
  return limit || 50;
};

const parsedValue = (text: string): unknown => {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError('invalid_request', undefined, {
      cause: error,
      errors: [{ path: 'value_json', message: 'is not JSON' }],
    });
  }
};

const toSaga = (row: SagaRow): sagaV1.Saga => {
  const failure = row.failure === null ? undefined : (JSON.parse(row.failure) as Failure);
  return {
    id: row.id,
    name: row.name,
    version: row.version,
    state: row.state,
    subject: row.subject ?? '',
    inputJson: row.input,
    correlationId: row.correlationId,
    createdAtMs: row.createdAt.getTime(),
    endedAtMs: row.endedAt?.getTime() ?? 0,
    dueAtMs: row.dueAt?.getTime() ?? 0,
    owner: row.owner ?? '',
    attempts: row.attempts,
    failureCode: failure?.code ?? '',
    failureDetail: failure?.detail ?? '',
  };
};

const toEntry = (entry: StoredEntry): sagaV1.SagaEntry => ({
  position: entry.pos,
  kind: entry.kind,
  step: entry.step,
  dataJson: entry.data ?? '',
  actor: entry.actor ?? '',
  reason: entry.reason ?? '',
  attempts: entry.attempts ?? 0,
  tookMs: entry.tookMs ?? 0,
  atMs: entry.at.getTime(),
});

const toInspected = ({ row, entries }: Inspected) => ({ saga: toSaga(row), entries: entries.map(toEntry) });

async function* watched(sagas: Sagas, id: string, ctx: CallContext) {
  for await (const one of sagas.watch(id, { signal: ctx.signal })) yield toInspected(one);
}

const toOwn = ({ row, entries }: Inspected): { saga: sagaV1.OwnSaga } => {
  const { id, name, state, createdAtMs, endedAtMs, failureCode, failureDetail } = toSaga(row);
  return {
    saga: {
      ...{ id, name, state, createdAtMs, endedAtMs, failureCode, failureDetail },
      steps: entries.map(({ step, kind, at }) => ({ step, kind, atMs: at.getTime() })),
    },
  };
};

/** A saga about the person who asks; any other looks like one that is not there. */
const ownSaga = async (sagas: Sagas, id: string, { actor }: CallContext): Promise<Inspected> => {
  if (!actor) throw new AppError('unauthenticated');
  const found = await sagas.inspect(id);
  if (found.row.subject !== actor.userId) throw new AppError('not_found', 'There is no such saga');
  return found;
};

async function* watchedByOwner(sagas: Sagas, id: string, ctx: CallContext) {
  const { row } = await ownSaga(sagas, id, ctx);
  const { signal } = ctx;
  for await (const one of sagas.watch(id, { signal, person: row.subject ?? '' })) yield toOwn(one);
}

const verbOf = ({ verb, valueJson }: sagaV1.OperateSagaRequest): Verb => {
  const kind = oneOf('verb', verbKinds, verb);
  return kind === 'skip' ? { kind, value: parsedValue(valueJson) } : { kind };
};

const handlersOf = (sagas: Sagas): Handlers<typeof sagaV1.SagaServiceService> => ({
  listSagas: async ({ states, name, subject, limit, cursor }, ctx) => {
    operatorOf(ctx);
    const size = limitOf(limit);
    const rows = await sagas.list({
      states: states.length > 0 ? states.map((state) => oneOf('states', sagaStates, state)) : undefined,
      name: name || undefined,
      subject: subject || undefined,
      before: cursorOf(cursor),
      limit: size,
    });
    return { items: rows.map(toSaga), next: rows.length < size ? '' : (rows.at(-1)?.id ?? '') };
  },
  getSaga: async ({ id }, ctx) => {
    operatorOf(ctx);
    return toInspected(await sagas.inspect(id));
  },
  operateSaga: async (request, ctx) => {
    const by = { actor: operatorOf(ctx), reason: request.reason };
    return { state: await sagas.operate(request.id, verbOf(request), by) };
  },
  watchSaga: ({ id }, ctx) => {
    operatorOf(ctx);
    return watched(sagas, id, ctx);
  },
  getOwnSaga: async ({ id }, ctx) => toOwn(await ownSaga(sagas, id, ctx)),
  watchOwnSaga: ({ id }, ctx) => watchedByOwner(sagas, id, ctx),
});

/** Operators and people come through the gateway. */
const allow = {
  listSagas: ['gateway'],
  getSaga: ['gateway'],
  operateSaga: ['gateway'],
  watchSaga: ['gateway'],
  getOwnSaga: ['gateway'],
  watchOwnSaga: ['gateway'],
};

/** `skein.saga.v1.SagaService` over the sagas of this process's database; for the server of its service. */
export const sagaService = (sagas: Sagas): Implementation =>
  implement(sagaV1.SagaServiceService, handlersOf(sagas), { allow });
