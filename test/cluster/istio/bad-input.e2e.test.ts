import { afterAll, describe, expect, it, vi } from 'vitest';
import { ask, kubectl, kubectlWait } from '../support/program.ts';
import { chartArguments, installChart } from '../support/stack.ts';
import { callFrom, podOf, tokenOf } from './calls.ts';
import { authorityOf, mesh, outside } from './mesh.ts';
import { holding } from './place.ts';
import { useMesh } from './use-mesh.ts';
import { openWayIn, register, type WayIn } from './way-in.ts';

useMesh();

const minutes = (count: number): number => count * 60_000;

describe('istio.enabled in a namespace without injection', () => {
  const release = 'without-sidecars';
  afterAll(async () => {
    await ask('helm', ['uninstall', release, '-n', outside, '--ignore-not-found']);
    // What belongs to a hook that failed stays.
    const left = ['-l', `app.kubernetes.io/instance=${release}`, '--ignore-not-found'];
    await kubectl('-n', outside, 'delete', 'job,networkpolicy,configmap,secret', ...left);
  });

  it('is refused before a pod of a service is made, with what to do', async () => {
    const args = chartArguments({ ...mesh, release, namespace: outside });
    const { ok, stdout, stderr } = await ask(
      'helm',
      ['install', ...args, '--set', 'check.seconds=10', '--wait', '--timeout=180s'],
      { timeoutMs: minutes(3.5) },
    );
    expect(ok).toBe(false);
    expect(stdout + stderr).toMatch(
      /Istio's sidecar in this pod is NOT reached .*Label the namespace istio-injection=enabled/,
    );
    expect(await kubectl('-n', outside, 'get', 'deployment', '-o', 'name')).toBe('');
  });
});

/** Works, with whatever Consul it has been told of. */
const works = async (wayIn: WayIn): Promise<void> => {
  const token = await register(wayIn);
  await vi.waitFor(
    async () => {
      expect(await wayIn.ask('GET', '/v1/me', { token })).toMatchObject({ status: 200 });
      const call = {
        address: `${(await podOf('auth')).ip}:50051`,
        authority: authorityOf('auth'),
        path: '/skein.auth.v1.AuthService/GetJwks',
        token: await tokenOf('gateway'),
      };
      expect(await callFrom(await podOf('gateway'), call)).toMatchObject({ status: 0 });
    },
    { timeout: minutes(1), interval: 1_000 },
  );
};

/** Waits until all services have registered, as a Consul tells a pod of the gateway. */
const registeredAt = (url: string) =>
  vi.waitFor(
    async () => {
      const { namespace, pod } = await podOf('gateway');
      const script = `fetch(${JSON.stringify(`${url}/v1/health/state/passing`)})
        .then((r) => r.json()).then((all) => console.log(all.flatMap((one) => one.ServiceName || []).join()))`;
      const node = ['/usr/local/bin/node', '-e', script];
      const told = await kubectl('-n', namespace, 'exec', pod, '-c', 'gateway', '--', ...node);
      const found = new Set(told.trim().split(','));
      const names = ['agent', 'auth', 'gateway', 'session-sync', 'user'];
      expect(found).toEqual(new Set(names.map((one) => `${mesh.namespace}-${mesh.release}-${one}`)));
    },
    { timeout: minutes(1), interval: 1_000 },
  );

describe('Consul outside the mesh', () => {
  const inject = async (value: string): Promise<void> => {
    const labels = { 'sidecar.istio.io/inject': value };
    const patch = JSON.stringify({ spec: { template: { metadata: { labels } } } });
    const consul = ['-n', mesh.platform, 'deployment/consul'] as const;
    await kubectl('patch', ...consul, '--patch', patch);
    await kubectlWait('rollout', 'status', ...consul);
  };

  it('is reached in plaintext, and calls between the services stay mutual TLS', {
    timeout: minutes(8),
  }, async () => {
    await using wayIn = await openWayIn();
    const url = `http://consul.${mesh.platform}.svc.cluster.local:8500`;
    try {
      await inject('false');
      await registeredAt(url);
      await works(wayIn);
    } finally {
      await inject('true');
    }
    await registeredAt(url);
    await works(wayIn);
  });

  it('is reached on the node of a pod, which belongs to no Service', { timeout: minutes(8) }, async () => {
    await using wayIn = await openWayIn();
    const [image, node] = await Promise.all([
      kubectl(
        ...['-n', mesh.platform, 'get', 'deployment', 'consul'],
        '-o=jsonpath={.spec.template.spec.containers[0].image}',
      ),
      kubectl('get', 'nodes', '-o=jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}'),
    ]);
    const port = 18_500;
    const name = 'consul-of-the-node';
    await using _ = await holding({
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: outside } },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            ...{ name, image, imagePullPolicy: 'IfNotPresent' },
            command: ['consul', 'agent', '-dev', '-client=0.0.0.0', '-data-dir=/tmp', '-dns-port=-1'],
            ports: [{ containerPort: 8500, hostPort: port }],
            readinessProbe: { httpGet: { path: '/v1/status/leader', port: 8500 }, periodSeconds: 1 },
          },
        ],
      },
    });
    await kubectlWait('-n', outside, 'wait', '--for=condition=Ready', `pod/${name}`);
    const anywhere = JSON.stringify([{ ipBlock: { cidr: '0.0.0.0/0' } }]);
    try {
      await installChart(
        mesh,
        ...['--set', `discovery.url=consul://$(HOST_IP):${port}`],
        ...['--set-json', `networkPolicy.discovery.to=${anywhere}`],
        ...['--set', `networkPolicy.discovery.ports={${port},8500}`],
      );
      await registeredAt(`http://${node}:${port}`);
      await works(wayIn);
    } finally {
      await installChart(mesh);
    }
    await works(wayIn);
  });
});
