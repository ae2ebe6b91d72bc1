export { compose, type Overrides } from './compose.ts';
export { type AgentConfig, config } from './config.ts';
