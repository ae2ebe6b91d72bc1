import type { Metadata } from '@grpc/grpc-js';

/** What the calls of every kind have in common on the server; grpc-js has a name for it but does not export it. */
export interface SurfaceCall {
  readonly metadata: Metadata;
  getDeadline(): Date | number;
  once(event: 'cancelled', listener: () => void): unknown;
}
