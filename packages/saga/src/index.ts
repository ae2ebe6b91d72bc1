export { defineSaga, type SagaDefinition } from './definition.ts';
export { type Sagas, type SagasOptions, sagas } from './orchestrator.ts';
export { type Participant, participant } from './participant.ts';
export { participantTableSql, sagaTablesSql } from './schema.ts';
