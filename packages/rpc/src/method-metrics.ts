import type { Histogram } from '@skein/telemetry';

/** The durations of one method. Labels are made once per outcome, and outcomes come from the closed error table. */
export interface MethodMetrics {
  /** `code` is `ok` or a code of the error table. */
  done(startedMs: number, code: string): void;
}

/** Observes seconds with the labels `rpc_service`, `rpc_method` and `code`. */
export const methodMetrics = (
  duration: Histogram,
  { service, method }: { readonly service: string; readonly method: string },
): MethodMetrics => {
  const labels = new Map<string, Readonly<Record<string, string>>>();
  return {
    done: (startedMs, code) => {
      let one = labels.get(code);
      if (!one) {
        one = { rpc_service: service, rpc_method: method, code };
        labels.set(code, one);
      }
      duration.observe((performance.now() - startedMs) / 1000, one);
    },
  };
};
