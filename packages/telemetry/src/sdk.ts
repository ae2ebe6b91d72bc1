/** Where spans and metrics go. */
export interface TelemetryOptions {
  readonly service: string;
  readonly instance: string;
  /** OTLP/HTTP endpoint such as `http://127.0.0.1:4318`; empty: nothing is exported and no SDK is loaded. */
  readonly otlpEndpoint: string;
}

/**
 * Starts the OpenTelemetry SDK when there is an endpoint. The SDK is loaded only then: it costs 40 MB and
 * 300 ms a process. Instrumentation is by hand in our own wrappers; loader hooks are never used.
 * Exporting never blocks or fails a request: a full queue drops spans.
 */
export const startTelemetry = async (options: TelemetryOptions): Promise<{ stop(): Promise<void> }> => {
  if (options.otlpEndpoint === '') return { stop: async () => {} };
  const { NodeSDK } = await import('@opentelemetry/sdk-node');
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = options.otlpEndpoint;
  process.env['OTEL_RESOURCE_ATTRIBUTES'] ??= `service.instance.id=${options.instance}`;
  const sdk = new NodeSDK({
    serviceName: `skein-${options.service}`,
    instrumentations: [],
  });
  sdk.start();
  return {
    // The collector may be away: the last batch is given a moment, the shutdown never fails for it.
    stop: () => sdk.shutdown().catch(() => {}),
  };
};
