export { type PlatformConfig, platformConfig } from './config.ts';
export { configAdminService } from './config-admin.ts';
export { type EventAdminOptions, eventAdminService } from './event-admin.ts';
export { openConfigStore } from './open-adapters.ts';
export { type ClientOptions, openPlatform, type Platform, type ServerOptions } from './platform.ts';
export type { ServiceServer } from './service-server.ts';
