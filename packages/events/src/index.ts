export {
  backoffAfter,
  type Delivery,
  type EventBus,
  type LiveBus,
  noPeers,
  type Subscription,
  subscriptionDefaults,
} from './bus.ts';
export { type ConsumeOptions, consume } from './consume.ts';
export { type Inbox, inbox } from './inbox.ts';
export {
  eventTablesSql,
  gapSafe,
  type OutboxSource,
  originPosition,
  outbox,
  type Position,
} from './outbox.ts';
export { type PostgresBusOptions, postgresBus } from './postgres-bus.ts';
export { type Relay, type RelayOptions, relay } from './relay.ts';
