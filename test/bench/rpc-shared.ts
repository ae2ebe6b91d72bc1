import { NodeSDK } from '@opentelemetry/sdk-node';
import type { syncV1 } from '@skein/contracts';

/** What both sides of the RPC benchmark agree on. */
export const benchSecret = 'only-for-the-benchmark-0123456789abcdef';

/** About 60 bytes, the size of most answers. */
export const answer: syncV1.GetSpaceResponse = {
  space: {
    id: '0199c2f0-7d3a-7000-8000-0123456789ab',
    kind: 'personal',
    title: 'Mine',
    role: 'owner',
    epoch: 'e1',
    head: 1_234,
    lastSeq: 0,
  },
};

/** Calls that wait for their answers at any time. */
export const inFlight = 32;

/** CPU of one call on each side, in microseconds. */
export interface Round {
  readonly serverUs: number;
  readonly clientUs: number;
}

/** What the server process says. */
export interface PeerMessage {
  readonly port?: number;
  readonly cpu?: NodeJS.CpuUsage;
}

/** Every call is a recorded span; what ends is dropped, because an exporter and its collector are not measured here. */
export const startTracing = (): void => {
  new NodeSDK({
    serviceName: 'bench',
    instrumentations: [],
    spanProcessors: [
      { onStart: () => {}, onEnd: () => {}, forceFlush: async () => {}, shutdown: async () => {} },
    ],
  }).start();
};
