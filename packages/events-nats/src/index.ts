export { type NatsLink, type NatsOptions, natsLink } from './connection.ts';
export { type JetStreamBusOptions, jetStreamBus } from './jetstream-bus.ts';
export { natsLiveBus } from './nats-live-bus.ts';
export { readServerUrl, type ServerAddress } from './server-url.ts';
