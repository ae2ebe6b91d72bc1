import { context, trace } from '@opentelemetry/api';
import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger };

/** What a logger is told once. */
export interface LoggerOptions {
  readonly service: string;
  /** Tells replicas apart. */
  readonly instance: string;
  readonly level: string;
  readonly destination?: DestinationStream;
}

/** Keys whose values never reach a log, wherever they stand in the first three levels. */
const secretKeys = [
  'password',
  'accessToken',
  'refreshToken',
  'token',
  'ticket',
  'authorization',
  'secret',
  'cookie',
];

/** JSON lines on stdout with time, service, instance and the ids of the active span. Secrets are cut. */
export const createLogger = ({ service, instance, level, destination }: LoggerOptions): Logger =>
  pino(
    {
      level,
      base: { service, instance },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretKeys.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]), censor: '[cut]' },
      mixin: () => {
        const span = trace.getSpanContext(context.active());
        return span ? { trace_id: span.traceId, span_id: span.spanId } : {};
      },
    },
    // Synchronous: a process that dies says its last words. Rates are low, bodies are never logged.
    destination ?? pino.destination({ dest: 1, sync: true }),
  );
