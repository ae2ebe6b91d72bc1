export { compose } from './compose.ts';
export { type UserConfig, userConfig } from './config.ts';
