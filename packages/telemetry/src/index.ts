export { createLogger, type Logger, type LoggerOptions } from './logger.ts';
export { type Counter, createMetrics, type Gauge, type Histogram, type MetricRegistry } from './metrics.ts';
export { startTelemetry, type TelemetryOptions } from './sdk.ts';
export { contextFrom, currentTraceparent, SpanKind, type SpanOptions, withSpan } from './trace.ts';
