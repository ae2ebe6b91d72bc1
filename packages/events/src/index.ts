export {
  type BusStore,
  backoffAfter,
  type Delivery,
  type EventBus,
  type LiveBus,
  noPeers,
  type Published,
  type PublishOptions,
  rememberedAs,
  type StoredEvent,
  type Subscription,
  subscriptionDefaults,
} from './bus.ts';
export { type ConsumeOptions, type Consumer, consume } from './consume.ts';
export {
  type DeadLetter,
  type DeadLetterPosition,
  type DeadLetters,
  deadLetters,
  type Order,
  type Retried,
} from './dead-letters.ts';
export { type EventsOf, eraseEvents } from './erase.ts';
export { bury, type Inbox, inbox } from './inbox.ts';
export {
  eventAdminSql,
  eventTablesSql,
  gapSafe,
  type OutboxRow,
  type OutboxSource,
  originPosition,
  outbox,
  outboxSubjectsSql,
  type Position,
  relayKindsSql,
} from './outbox.ts';
export { type PostgresBusOptions, postgresBus } from './postgres-bus.ts';
export { type Reanchored, reanchorDatabase } from './reanchor.ts';
export { type Relay, type RelayOptions, relay } from './relay.ts';
export { replay } from './replay.ts';
