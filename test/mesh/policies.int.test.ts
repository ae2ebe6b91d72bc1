import { beforeAll, describe, expect, it } from 'vitest';
import { codeEdges, type ServiceEdges } from './support/code-edges.ts';
import { type KubeObject, objectsOf, render, renderProfile } from './support/helm.ts';
import { type Profile, profiles, profileValues } from './support/paths.ts';
import { authorizedCalls, networkEdges } from './support/policies.ts';

let edges: Readonly<Record<string, ServiceEdges>> = {};
let objects: Readonly<Record<string, readonly KubeObject[]>> = {};

beforeAll(async () => {
  edges = await codeEdges();
  const rendered = await Promise.all(
    profiles.map(async (one) => [one, objectsOf(await renderProfile(one))] as const),
  );
  objects = Object.fromEntries(rendered);
});

const of = (profile: Profile): readonly KubeObject[] => objects[profile] ?? [];
const names = (): string[] => Object.keys(edges);

/** Caller, callee and method of every call between services that the code makes possible. */
const codeCalls = (): { caller: string; callee: string; path: string }[] =>
  Object.entries(edges).flatMap(([callee, { callers }]) =>
    Object.entries(callers).flatMap(([caller, paths]) => paths.map((path) => ({ caller, callee, path }))),
  );

describe('the edges between services', () => {
  it('are found in the code: those of the architecture', () => {
    const found = new Set(codeCalls().map(({ caller, callee }) => `${caller} → ${callee}`));
    expect([...found].sort()).toEqual([
      'agent → session-sync',
      // Of the sagas: registering, and erasing.
      'auth → session-sync',
      'auth → user',
      'gateway → agent',
      'gateway → auth',
      'gateway → session-sync',
      'gateway → user',
      'session-sync → agent',
      'session-sync → auth',
      'user → agent',
      'user → auth',
      'user → session-sync',
    ]);
  });

  it.each(profiles)('are open in the network at both ends, and no others are: %s', (profile) => {
    const wanted = [
      ...new Set(codeCalls().map(({ caller, callee }) => `${caller} → ${callee}:50051`)),
    ].sort();
    const { ingress, egress } = networkEdges(of(profile));
    const between = (found: readonly string[]) => found.filter((edge) => edge.endsWith(':50051'));
    expect(between(ingress)).toEqual(wanted);
    expect(between(egress)).toEqual(wanted);
  });

  it.each(profiles)('lie under a policy that denies everything else, both ways: %s', (profile) => {
    const deny = of(profile).find(
      ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === 'skein-default-deny',
    );
    expect(deny?.spec).toEqual({
      podSelector: {
        matchLabels: { 'app.kubernetes.io/part-of': 'skein', 'app.kubernetes.io/instance': 'skein' },
      },
      policyTypes: ['Ingress', 'Egress'],
    });
  });

  it('are allowed by the mesh for exactly the methods that the code allows the caller', () => {
    const principal = (name: string) => `cluster.local/ns/skein/sa/skein-${name}`;
    const wanted = codeCalls().map(
      ({ caller, callee, path }) => `${principal(caller)} → ${callee}:50051 ${path}`,
    );
    const allowed = authorizedCalls(of('istio'));
    expect(allowed.filter((call) => call.includes(':50051'))).toEqual(wanted.sort());
    expect(allowed.filter((call) => !call.includes(':50051'))).toEqual([
      '* → all of ours:9464 *',
      'cluster.local/ns/istio-ingress/sa/public-istio → gateway:8002 *',
      `${principal('gateway')} → gateway:8002 /.well-known/jwks.json`,
      `${principal('test')} → gateway:8002 *`,
    ]);
  });

  it('are denied by the mesh where nothing allows them, and mutual TLS is strict', () => {
    const find = (kind: string, name: string) =>
      of('istio').find((one) => one.kind === kind && one.metadata.name === name)?.spec;
    const selector = {
      matchLabels: { 'app.kubernetes.io/part-of': 'skein', 'app.kubernetes.io/instance': 'skein' },
    };
    expect(find('AuthorizationPolicy', 'skein-default-deny')).toEqual({ selector });
    expect(find('PeerAuthentication', 'skein-strict')).toMatchObject({ selector, mtls: { mode: 'STRICT' } });
  });

  it('are all that the proxies of a service can reach beside the platform', () => {
    for (const name of names()) {
      const scope = of('istio').find(
        ({ kind, metadata }) => kind === 'Sidecar' && metadata.name === `skein-${name}`,
      );
      const callees = new Set(codeCalls().flatMap(({ caller, callee }) => (caller === name ? [callee] : [])));
      const wanted = [...callees].map((callee) => `./skein-${callee}.skein.svc.cluster.local`);
      if (name === 'gateway') wanted.push('./skein-gateway.skein.svc.cluster.local');
      if (name === 'agent') wanted.push('./models.example.org');
      if (name === 'user') wanted.push('./mail.example.org');
      wanted.push('skein-platform/*', 'istio-system/*');
      const [egress] = (scope?.spec?.['egress'] ?? []) as { hosts: string[] }[];
      expect(egress?.hosts.toSorted(), name).toEqual(wanted.sort());
      expect(scope?.spec?.['outboundTrafficPolicy']).toEqual({ mode: 'REGISTRY_ONLY' });
    }
  });
});

describe('the way out of the services', () => {
  it('leads to the components that their code uses, and nowhere else', () => {
    const { egress } = networkEdges(of('default'));
    for (const name of names()) {
      const wanted = [53, 53, 4318, 8500];
      if (edges[name]?.database) wanted.push(5432);
      if (edges[name]?.events) wanted.push(4222);
      const found = egress.filter((edge) => edge.startsWith(`${name} → namespace`));
      const ports = found.map((edge) => Number(edge.split(':').at(-1)));
      expect(ports.sort(), name).toEqual(wanted.sort());
    }
  });

  it('leads to a language model for the agent only, and only where one is named', () => {
    const { egress } = networkEdges(of('ha'));
    expect(egress.filter((edge) => edge.includes('namespace ai'))).toEqual(['agent → namespace ai:8000']);
    expect(networkEdges(of('default')).egress.filter((edge) => edge.endsWith(':443'))).toEqual([]);
  });

  it('leads to a mail server for user only, and only where one is named', () => {
    const mail = (profile: Profile) =>
      networkEdges(of(profile)).egress.filter((edge) => /:(465|587)$/.test(edge));
    expect(mail('istio')).toEqual(['user → 198.51.100.25/32:587']);
    expect(mail('default')).toEqual([]);
  });
});

describe('the way out of the check', () => {
  it('is opened with its Job, before an upgrade: else it would be that of the release that is there', () => {
    const hooks = of('default').filter(({ metadata }) => metadata.annotations?.['helm.sh/hook']);
    const weightOf = (kind: string): number =>
      Number(
        hooks.find((one) => one.kind === kind && one.metadata.name === 'skein-check')?.metadata.annotations?.[
          'helm.sh/hook-weight'
        ],
      );
    expect(weightOf('NetworkPolicy')).toBeLessThan(weightOf('Job'));
  });
});

describe('the way in', () => {
  it('leads to the gateway, from the ingress that is named and from our own test', () => {
    const into = (profile: Profile) =>
      networkEdges(of(profile)).ingress.filter((edge) => edge.endsWith(':8002'));
    expect(into('default')).toEqual(['test → gateway:8002']);
    expect(into('external')).toEqual(['namespace ingress-nginx → gateway:8002', 'test → gateway:8002']);
  });

  it('is closed to who reads metrics unless they are served and somebody is named', () => {
    const metrics = (profile: Profile) =>
      networkEdges(of(profile)).ingress.filter((edge) => edge.endsWith(':9464'));
    expect(metrics('default')).toEqual([]);
    expect(metrics('ha')).toEqual(
      names()
        .map((name) => `namespace monitoring → ${name}:9464`)
        .sort(),
    );
  });
});

describe('how calls find their way in the mesh', () => {
  const rules = () => of('istio').filter(({ kind }) => kind === 'DestinationRule');

  it('the client keeps the pod it dialled, over mutual TLS that is said and not detected', () => {
    expect(rules()).toHaveLength(names().length);
    for (const { metadata, spec } of rules()) {
      const simple = metadata.name === 'skein-gateway' ? 'LEAST_REQUEST' : 'PASSTHROUGH';
      expect(spec).toMatchObject({
        host: `${metadata.name}.skein.svc.cluster.local`,
        trafficPolicy: { tls: { mode: 'ISTIO_MUTUAL' }, loadBalancer: { simple } },
      });
    }
  });

  it('a proxy closes an idle connection to the gateway before the gateway does', () => {
    const pools = rules().flatMap(({ metadata, spec }) => {
      const policy = spec?.['trafficPolicy'] as { connectionPool?: unknown } | undefined;
      return policy?.connectionPool ? [[metadata.name, policy.connectionPool]] : [];
    });
    expect(pools).toEqual([['skein-gateway', { http: { idleTimeout: '60s' } }]]);
  });

  it('the mesh repeats no call: that is our clients’ business', () => {
    const routes = of('istio').filter(({ kind }) => kind === 'VirtualService');
    expect(routes).toHaveLength(names().length);
    for (const { spec } of routes)
      for (const route of (spec?.['http'] ?? []) as unknown[])
        expect(route).toMatchObject({ retries: { attempts: 0 } });
  });

  it('the agent of the node is reached beside the proxy, which knows no address of a node', async () => {
    const excluded = 'traffic.sidecar.istio.io/excludeOutboundPorts';
    const portsOf = async (url: string): Promise<unknown[]> => {
      const args = ['--values', profileValues('istio'), '--set', `discovery.url=${url}`];
      const { output } = await render(...args);
      const pods = objectsOf(output).filter(({ kind }) => kind === 'Deployment' || kind === 'Job');
      expect(pods).toHaveLength(names().length + 1);
      const annotations = pods.map(({ spec }) => spec?.['template'] as Pick<KubeObject, 'metadata'>);
      return [...new Set(annotations.map(({ metadata }) => metadata.annotations?.[excluded]))];
    };
    expect(await portsOf('consul://$(HOST_IP):8501')).toEqual(['8501']);
    expect(await portsOf('consul://$(HOST_IP)')).toEqual(['8500']);
    const centre = 'configCentre.kind=consul,configCentre.url=consul://$(HOST_IP):8600/eu/skein';
    expect(await portsOf(`consul://$(HOST_IP),${centre}`)).toEqual(['8500,8600']);
    expect(await portsOf('consul://consul.skein-platform.svc.cluster.local:8500')).toEqual([undefined]);
  });

  it('the authority that services send is the host that Istio knows', () => {
    const hosts = rules().map(({ spec }) => spec?.['host']);
    for (const name of names()) {
      const config = of('istio').find(
        ({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === `skein-${name}`,
      ) as { data?: Record<string, string> } | undefined;
      const template = config?.data?.['DISCOVERY_AUTHORITY_TEMPLATE'] ?? '';
      for (const other of names()) expect(hosts).toContain(template.replace('{service}', other));
    }
  });
});
