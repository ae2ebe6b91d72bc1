export {
  type CompensationContext,
  defineSaga,
  type RetryPolicy,
  type SagaDefinition,
  type StepContext,
} from './definition.ts';
export { type Forgetting, forgetSagas } from './forget.ts';
export type { StartOptions } from './new-saga.ts';
export { type Sagas, type SagasOptions, type Started, sagas } from './orchestrator.ts';
export { type Participant, participant } from './participant.ts';
export { participantTableSql, sagaTablesSql } from './schema.ts';
export { sagaService } from './service.ts';
export type { Settled } from './settling.ts';
export type { Failure, SagaState } from './state.ts';
export type { Operator, Verb } from './verbs.ts';
