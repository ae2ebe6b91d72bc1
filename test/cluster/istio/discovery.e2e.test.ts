import { describe, expect, it, vi } from 'vitest';
import { installChart } from '../support/stack.ts';
import { cameIn, loggedCalls, type PodCall } from './access-log.ts';
import { callFrom, callsFrom, podOf, podsOf, type ServicePod, tokenOf } from './calls.ts';
import { authorityOf, mesh, serviceIdentity } from './mesh.ts';
import { useMesh } from './use-mesh.ts';
import { openWayIn, register } from './way-in.ts';

useMesh();

const grpcPort = 50_051;
const path = '/skein.auth.v1.AuthService/GetJwks';
const unavailable = 14;
const authority = authorityOf('auth');

/** What the proxies of a service have logged of some calls. */
const logged = (service: string, ids: readonly string[]): Promise<PodCall[]> =>
  vi.waitFor(
    async () => {
      const calls = await loggedCalls(mesh.namespace, `app.kubernetes.io/name=${service}`);
      const found = calls.filter(({ requestId }) => ids.includes(requestId));
      expect(found.length).toBeGreaterThanOrEqual(ids.length);
      return found;
    },
    { timeout: 30_000, interval: 2_000 },
  );

describe('a call to the address of a pod, as Consul gives it', () => {
  it('arrives at that pod over mutual TLS when its authority is the Service, however many pods there are', async () => {
    const pods = await podsOf('auth');
    expect(pods).toHaveLength(2);
    const token = await tokenOf('gateway');
    const dialled = Array.from({ length: 20 }, (_, i) => pods[i % pods.length] as ServicePod);
    const results = await callsFrom(
      await podOf('gateway'),
      dialled.map(({ ip }) => ({ address: `${ip}:${grpcPort}`, ...{ authority, path, token } })),
    );
    for (const result of results) expect(result).toMatchObject({ http: 200, status: 0 });
    const calls = (
      await logged(
        'auth',
        results.map(({ id }) => id),
      )
    ).filter(cameIn);
    const arrivedAt = new Map(calls.map((call) => [call.requestId, call]));
    for (const [i, { id }] of results.entries())
      expect(arrivedAt.get(id)).toMatchObject({
        pod: dialled[i]?.pod,
        caller: serviceIdentity('gateway'),
        callerTls: expect.stringMatching(/^TLSv1\./),
      });
  });

  it.each([
    ['its address', (address: string) => address],
    ['the name in Consul', () => 'auth.service.consul'],
  ])('does not arrive when its authority is %s', async (_, authorityFor) => {
    const { ip } = await podOf('auth');
    const address = `${ip}:${grpcPort}`;
    const call = { address, authority: authorityFor(address), path, token: await tokenOf('gateway') };
    const result = await callFrom(await podOf('gateway'), call);
    expect(result.status).toBe(unavailable);
    // Refused by the caller's own proxy, loudly: it has no route, and REGISTRY_ONLY forbids to go without one.
    const [refused] = await logged('gateway', [result.id]);
    expect(refused).toMatchObject({ grpc: 'Unavailable', upstream: null });
  });

  it('is tried once when it fails: the mesh adds no attempts to those of our clients', async () => {
    // An address of the pods' network where no pod is.
    const { ip } = await podOf('auth');
    const nobody = ip.replace(/\.\d+$/, '.254');
    const call = { address: `${nobody}:${grpcPort}`, authority, path, token: await tokenOf('gateway') };
    const result = await callFrom(await podOf('gateway'), call);
    expect(result.status).toBe(unavailable);
    const calls = await logged('gateway', [result.id]);
    expect(calls).toHaveLength(1);
    expect(calls[0]).toMatchObject({ attempts: 1, authority, upstream: `${nobody}:${grpcPort}` });
  });
});

describe('a service without the authority template', () => {
  it('reaches nobody, and says so; with it everything is well again', { timeout: 400_000 }, async () => {
    await using wayIn = await openWayIn();
    const token = await register(wayIn);
    const withoutTemplate = JSON.stringify([{ name: 'DISCOVERY_AUTHORITY_TEMPLATE', value: '' }]);
    try {
      await installChart(mesh, '--set-json', `services.user.extraEnv=${withoutTemplate}`);
      // The profile is with user, which asks auth who the person is.
      const { status, body } = await wayIn.ask('GET', '/v1/me', { token });
      expect(status).toBe(503);
      expect(JSON.parse(body)).toMatchObject({ retryable: true });
    } finally {
      await installChart(mesh);
    }
    expect(await wayIn.ask('GET', '/v1/me', { token })).toMatchObject({ status: 200 });
  });
});
