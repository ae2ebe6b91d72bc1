import { setTimeout } from 'node:timers/promises';
import type { LoadOptions } from '../../load/load.ts';
import { getJson, kubectl } from './program.ts';
import { plain, type Stack } from './stack.ts';

/** All of the load comes from one address: what bounds an address that nobody has signed in at is no bound here. */
const gatewayConfig = {
  UNAUTHENTICATED_PER_ADDRESS: 1_000,
  ANONYMOUS_PER_SECOND: 1_000,
  REGISTRATIONS_PER_HOUR: 100_000,
};

/** Of what pods are taken away. */
export const services = ['gateway', 'auth', 'user', 'session-sync', 'agent'] as const;

/** An installation of its own with two pods of every service: what load does to it is no other test's business. */
export const loadedStack: Stack = {
  ...plain,
  namespace: 'skein-load',
  platform: 'skein-load-platform',
  values: [
    ...plain.values,
    ...['--set', 'defaults.replicas=2'],
    ...['--set-json', `services.gateway.config=${JSON.stringify(gatewayConfig)}`],
  ],
};

/** A pod, as far as we look at it. */
export interface Pod {
  readonly name: string;
  readonly uid: string;
  /** Which service it is of. */
  readonly component: string;
  readonly ready: boolean;
  /** It was told to end. */
  readonly leaving: boolean;
}

interface PodObject {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** The pods of a namespace that a label selects. */
export const podsOf = async (namespace: string, selector: string): Promise<Pod[]> => {
  const { items } = await getJson<{ items: readonly PodObject[] }>('pods', '-n', namespace, '-l', selector);
  return items.map(({ metadata, status: { conditions = [] } }) => ({
    name: metadata.name,
    uid: metadata.uid,
    component: metadata.labels['app.kubernetes.io/name'] ?? '',
    ready: conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
    leaving: metadata.deletionTimestamp !== undefined,
  }));
};

/** The pods of our services; the one of `helm test` is none. */
export const servicePods = async ({ namespace, release }: Stack): Promise<Pod[]> =>
  (await podsOf(namespace, `app.kubernetes.io/part-of=skein,app.kubernetes.io/instance=${release}`)).filter(
    ({ component }) => (services as readonly string[]).includes(component),
  );

const reachMs = 5_000;
// A Service leads to its pods a moment after they are ready: each node learns of it by itself.
const reachAttempts = 30;

const whyUnreachable = async (url: string): Promise<string | undefined> => {
  const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(reachMs) }).catch(String);
  if (typeof answer === 'string') return answer;
  return answer.ok ? undefined : `it answers ${answer.status}`;
};

/**
 * Where the gateway's Service is reached from this machine, so that the cluster picks the pod of each connection:
 * `SKEIN_GATEWAY_URL`, or the address inside the cluster. An error with the way out when nobody answers there within
 * half a minute or more.
 */
export const gatewayUrl = async ({ namespace, release }: Stack, env = process.env): Promise<string> => {
  const service = `${release}-gateway`;
  const inside = async () => {
    const ip = await kubectl('-n', namespace, 'get', 'service', service, '-o=jsonpath={.spec.clusterIP}');
    return `http://${ip.includes(':') ? `[${ip}]` : ip}:8002`;
  };
  const url = (env['SKEIN_GATEWAY_URL'] || (await inside())).replace(/\/$/, '');
  for (let attempt = 1; ; attempt += 1) {
    const why = await whyUnreachable(url);
    if (why === undefined) return url;
    if (attempt === reachAttempts)
      throw new Error(
        `The gateway cannot be reached from this machine at ${url} (${why}). Set SKEIN_GATEWAY_URL to an address that leads to the Service ${service} in ${namespace}, such as that of an Ingress or a route to the cluster's Services; a port-forward is none, because it sticks to one pod.`,
      );
    await setTimeout(1_000);
  }
};

/** The load of a test, in words. */
export const loadInWords = (load: Omit<LoadOptions, 'address'>): string =>
  `${load.people * load.devices} sockets (${load.people} people with ${load.devices} devices each), ${load.messagesPerSecond} messages a second, half over WebSocket and half over REST, ${load.answersPerSecond} of them with an answer, each to all devices of its person, and ${load.callsPerSecond} other calls a second`;
