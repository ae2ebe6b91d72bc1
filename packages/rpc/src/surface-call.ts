import type { ReadableMetadata } from './wire-metadata.ts';

/** What the calls of every kind have in common on the server; grpc-js has a name for it but does not export it. */
export interface SurfaceCall {
  readonly metadata: ReadableMetadata;
  /** Whether the call is over: answered, cancelled or out of time. */
  readonly cancelled: boolean;
  getDeadline(): Date | number;
  once(event: 'cancelled', listener: () => void): unknown;
}
