import type { Histogram, Observer } from '@skein/telemetry';

/** The durations of one method, a series per outcome; outcomes come from the closed error table. */
export interface MethodMetrics {
  /** `code` is `ok` or a code of the error table. */
  done(startedMs: number, code: string): void;
}

/** Observes seconds with the labels `rpc_service`, `rpc_method` and `code`. */
export const methodMetrics = (
  duration: Histogram,
  { service, method }: { readonly service: string; readonly method: string },
): MethodMetrics => {
  const series = new Map<string, Observer>();
  return {
    done: (startedMs, code) => {
      let one = series.get(code);
      if (!one) {
        one = duration.with({ rpc_service: service, rpc_method: method, code });
        series.set(code, one);
      }
      one.observe((performance.now() - startedMs) / 1000);
    },
  };
};
