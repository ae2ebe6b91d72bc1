import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { identity } from '@skein/rpc';
import { getJson, must } from '../support/program.ts';
import { mesh } from './mesh.ts';

/** A container that has Node in it. */
export interface Place {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
}

/** A pod of a service. */
export interface ServicePod extends Place {
  readonly ip: string;
}

interface PodList {
  readonly items: readonly {
    readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
    readonly status: {
      readonly podIP?: string;
      readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    };
  }[];
}

/** The pods of a service that are ready, and not on their way out. */
export const podsOf = async (service: string): Promise<readonly ServicePod[]> => {
  const { namespace } = mesh;
  const { items } = await getJson<PodList>(
    'pods',
    '-n',
    namespace,
    '-l',
    `app.kubernetes.io/name=${service}`,
  );
  return items.flatMap(({ metadata, status }) => {
    const ready = status.conditions?.some((one) => one.type === 'Ready' && one.status === 'True');
    const { podIP: ip } = status;
    return ready && ip && !metadata.deletionTimestamp
      ? [{ namespace, pod: metadata.name, container: service, ip }]
      : [];
  });
};

/** The first pod of a service. */
export const podOf = async (service: string): Promise<ServicePod> => {
  const [pod] = await podsOf(service);
  if (!pod) throw new Error(`No pod of ${service} is ready.`);
  return pod;
};

/** A gRPC call as it goes on the wire. */
export interface WireCall {
  /** `host:port` that is dialled. */
  readonly address: string;
  readonly authority: string;
  readonly path: string;
  /** Of the calling service; without one the callee answers UNAUTHENTICATED. */
  readonly token?: string;
}

/** What became of it: a status of gRPC (-1: none), or an error of the connection. */
export interface WireResult {
  readonly id: string;
  readonly http?: number;
  readonly status?: number;
  readonly message?: string;
  readonly error?: string;
}

/** Makes calls from inside a container, as its identity, one after the other. */
export const callsFrom = async (
  { namespace, pod, container }: Place,
  calls: readonly WireCall[],
): Promise<readonly WireResult[]> => {
  // No UUID alone: a proxy would write into one whether the call is traced.
  const named = calls.map((call) => ({ ...call, id: `skein-${randomUUID()}` }));
  const told = await must(
    'kubectl',
    [
      ...['-n', namespace, 'exec', '-i', pod, '-c', container, '--'],
      ...['/usr/local/bin/node', '--input-type=module', '-', JSON.stringify(named)],
    ],
    { input: await readFile(join(import.meta.dirname, 'in-pod', 'grpc-calls.mjs'), 'utf8') },
  );
  const results: Omit<WireResult, 'id'>[] = JSON.parse(told);
  return results.map((result, i) => ({ ...result, id: named[i]?.id ?? '' }));
};

/** One call from inside a container. */
export const callFrom = async (place: Place, call: WireCall): Promise<WireResult> => {
  const [result] = await callsFrom(place, [call]);
  if (!result) throw new Error('The call left no result.');
  return result;
};

/** A token as `service` signs them, so that only the mesh can refuse what it is sent with. */
export const tokenOf = async (service: string): Promise<string> => {
  const { data } = await getJson<{ data: Record<string, string> }>('secret', 'skein', '-n', mesh.namespace);
  const secret = Buffer.from(data['internal-secret'] ?? '', 'base64').toString();
  return identity({ service, secret }).sign(undefined);
};
