export { compose } from './compose.ts';
export { type AuthConfig, authConfig } from './config.ts';
