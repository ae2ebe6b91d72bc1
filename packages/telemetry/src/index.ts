export { createLogger, type Logger, type LoggerOptions } from './logger.ts';
export {
  type Counter,
  createMetrics,
  type Gauge,
  type Histogram,
  type MetricRegistry,
  type Observer,
} from './metrics.ts';
export { startTelemetry, type TelemetryOptions } from './sdk.ts';
export {
  contextFrom,
  currentTraceparent,
  type OpenSpan,
  openSpan,
  SpanKind,
  type SpanOptions,
  withSpan,
} from './trace.ts';
