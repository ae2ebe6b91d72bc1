import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Service } from '@skein/service-kit';
import type { MetricRegistry } from '@skein/telemetry';

/** Name, age, processor time, memory and event loop of this process as metrics; measured only while it runs. */
export const processMetrics = (metrics: MetricRegistry, service: string): Service => {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  metrics.gauge('skein_service_info', 'Always 1: which service the process is.').set(1, { service });
  const startedAt = Date.now() / 1_000 - process.uptime();
  metrics.gauge('process_start_time_seconds', 'When the process began, in Unix time.', () => startedAt);
  metrics.counter('process_cpu_seconds_total', 'Processor time the process has used.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  metrics.gauge('process_resident_memory_bytes', 'Memory of the process.', () => process.memoryUsage.rss());
  metrics.gauge('nodejs_heap_used_bytes', 'Used JavaScript heap.', () => process.memoryUsage().heapUsed);
  metrics.gauge(
    'nodejs_eventloop_delay_p99_seconds',
    'Delay of the event loop since the last scrape, 99th percentile.',
    () => {
      const seconds = delay.percentile(99) / 1e9;
      delay.reset();
      return seconds;
    },
  );
  return {
    id: 'process metrics',
    run: async () => {
      delay.enable();
    },
    stop: async () => {
      delay.disable();
    },
  };
};
