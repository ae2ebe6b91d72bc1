export { compose, type Gateway, type Overrides } from './compose.ts';
export { config, type GatewayConfig } from './config.ts';
