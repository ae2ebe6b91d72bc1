import { kubectl } from '../support/program.ts';

/** One call as a proxy logged it: the log of `skein-access-log` in istio/istiod-values.yaml. */
export interface LoggedCall {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly code: number;
  readonly grpc: string;
  readonly flags: string;
  readonly details: string;
  readonly requestId: string;
  /** Address of the pod that it went to. */
  readonly upstream: string | null;
  /** `inbound|…` where the call came in, `outbound|…` where it went out; none where the proxy answered itself. */
  readonly cluster: string | null;
  readonly attempts: number | null;
  readonly caller: string | null;
  readonly callerTls: string | null;
  readonly callee: string | null;
  readonly calleeTls: string | null;
}

/** A logged call, and the pod whose proxy logged it. */
export type PodCall = LoggedCall & { readonly pod: string };

/** More lines than a test run makes. */
const maxLines = 20_000;

const callsIn = (line: string): PodCall[] => {
  const [, pod = '', text = ''] = /^\[pod\/([^/]+)\/[^\]]+\] (\{.*)$/.exec(line) ?? [];
  // The proxy logs connections of TCP in the same form, without a method.
  return text.includes('"method":"') ? [{ pod, ...(JSON.parse(text) as LoggedCall) }] : [];
};

/** What the proxies of the pods with a label have logged. They write with a delay of up to ten seconds. */
export const loggedCalls = async (namespace: string, selector: string): Promise<PodCall[]> =>
  (
    await kubectl(
      ...['-n', namespace, 'logs', '-l', selector, '-c', 'istio-proxy', '--prefix'],
      ...[`--tail=${maxLines}`, '--max-log-requests=20'],
    )
  )
    .split('\n')
    .flatMap(callsIn);

/** Whether a call was logged where it came in. */
export const cameIn = ({ cluster }: LoggedCall): boolean => cluster?.startsWith('inbound|') ?? false;
