import { afterAll, describe, expect, it, vi } from 'vitest';
import { ask, kubectl, must } from '../support/program.ts';
import { chartArguments } from '../support/stack.ts';
import { callFrom, podOf, tokenOf } from './calls.ts';
import { authorityOf, mesh, outside } from './mesh.ts';
import { useMesh } from './use-mesh.ts';
import { openWayIn, register } from './way-in.ts';

useMesh();

const minutes = (count: number): number => count * 60_000;

describe('istio.enabled in a namespace without injection', () => {
  const release = 'without-sidecars';
  afterAll(async () => {
    await ask('helm', ['uninstall', release, '-n', outside, '--ignore-not-found']);
  });

  it('is refused before a pod of a service is made, with what to do', async () => {
    const args = chartArguments({ ...mesh, release, namespace: outside });
    const { ok, stdout, stderr } = await ask(
      'helm',
      ['install', ...args, '--set', 'check.seconds=5', '--wait', '--timeout=90s'],
      { timeoutMs: minutes(2) },
    );
    expect(ok).toBe(false);
    expect(stdout + stderr).toMatch(
      /Istio's sidecar in this pod is NOT reached .*Label the namespace istio-injection=enabled/,
    );
    expect(await kubectl('-n', outside, 'get', 'deployment', '-o', 'name')).toBe('');
  });
});

describe('Consul outside the mesh', () => {
  const inject = (value: string): Promise<string> => {
    const labels = { 'sidecar.istio.io/inject': value };
    const patch = JSON.stringify({ spec: { template: { metadata: { labels } } } });
    return kubectl('-n', mesh.platform, 'patch', 'deployment', 'consul', '--patch', patch);
  };
  const rolledOut = (): Promise<string> =>
    must('kubectl', ['-n', mesh.platform, 'rollout', 'status', 'deployment/consul', '--timeout=120s'], {
      timeoutMs: minutes(2.5),
    });

  it(
    'is reached in plaintext, and calls between the services stay mutual TLS',
    async () => {
      await using wayIn = await openWayIn();
      const token = await register(wayIn);
      const works = () =>
        vi.waitFor(
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
      /** Services that have registered with the agent that runs now. */
      const registered = () =>
        vi.waitFor(
          async () => {
            const { namespace, pod } = await podOf('gateway');
            const script = `fetch('http://consul.${mesh.platform}.svc.cluster.local:8500/v1/health/state/passing')
            .then((r) => r.json()).then((all) => console.log(all.flatMap((one) => one.ServiceName || []).join()))`;
            const told = await kubectl(
              ...['-n', namespace, 'exec', pod, '-c', 'gateway', '--', '/usr/local/bin/node', '-e', script],
            );
            expect(new Set(told.trim().split(','))).toEqual(
              new Set(['agent', 'auth', 'gateway', 'session-sync', 'user']),
            );
          },
          { timeout: minutes(1), interval: 1_000 },
        );
      try {
        await inject('false');
        await rolledOut();
        await registered();
        await works();
      } finally {
        await inject('true');
        await rolledOut();
      }
      await registered();
      await works();
    },
    minutes(8),
  );
});
