export { type CloudEvent, domainEventJsonSchema, fromCloudEvent, toCloudEvent } from './cloud-event.ts';
export {
  checkDomainEvent,
  type DomainEvent,
  type DomainEventData,
  type DomainEventType,
  domainEvents,
  subjectOf,
  upcastDomainEvent,
} from './domain-events.ts';
export {
  AppError,
  type AppErrorOptions,
  type Code,
  type ErrorRow,
  errorTable,
  type FieldError,
  grpcStatus,
  isCode,
  toAppError,
} from './errors.ts';
export { descriptorSetBase64 } from './gen/descriptor.ts';
export * as agentV1 from './gen/skein/agent/v1/agent.ts';
export * as authV1 from './gen/skein/auth/v1/auth.ts';
export * as configV1 from './gen/skein/config/v1/config.ts';
export * as erasureV1 from './gen/skein/erasure/v1/erasure.ts';
export * as eventsV1 from './gen/skein/events/v1/events.ts';
export * as sagaV1 from './gen/skein/saga/v1/saga.ts';
export * as healthRecordV1 from './gen/skein/sync/v1/health_record.ts';
export * as projectWorkV1 from './gen/skein/sync/v1/project_work.ts';
export * as syncV1 from './gen/skein/sync/v1/sync.ts';
export * as identityV1 from './gen/skein/user/v1/identity.ts';
export * as userV1 from './gen/skein/user/v1/user.ts';
