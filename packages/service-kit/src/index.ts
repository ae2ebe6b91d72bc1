export { type Clock, must, systemClock } from './clock.ts';
export {
  ConfigError,
  type ConfigOf,
  type ConfigSchema,
  describeConfig,
  flag,
  integer,
  list,
  live,
  milliseconds,
  oneOf,
  port,
  type Setting,
  secret,
  text,
  url,
} from './config.ts';
export {
  type ConfigLayer,
  faultsOfLayer,
  type LiveConfig,
  liveConfig,
  type SettingState,
} from './live-config.ts';
export { type PeriodicOptions, periodic } from './periodic.ts';
export { readConfig } from './read-config.ts';
export { type Composed, type RunServiceOptions, runService } from './run-service.ts';
export { type LifecycleOptions, lifecycle, type Service } from './service.ts';
export { type TryForOptions, tryFor } from './try-for.ts';
