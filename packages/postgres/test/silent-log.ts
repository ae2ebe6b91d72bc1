import { createLogger, type Logger } from '@skein/telemetry';

/** A logger that keeps its lines for a test to look at. */
export const silentLog = (lines: string[] = []): Logger =>
  createLogger({
    service: 'test',
    instance: 'test',
    level: 'info',
    destination: { write: (line: string) => void lines.push(line) },
  });
