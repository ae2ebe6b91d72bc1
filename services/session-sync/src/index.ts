export { compose, type SessionSync } from './compose.ts';
export { type Config, config } from './config.ts';
