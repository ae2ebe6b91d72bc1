import { describe, expect, it, vi } from 'vitest';
import { kubectlWait } from '../support/program.ts';
import { installChart } from '../support/stack.ts';
import { cameIn, loggedCalls, type PodCall } from './access-log.ts';
import { callFrom, callsFrom, podOf, podsOf, type ServicePod, tokenOf } from './calls.ts';
import { authorityOf, mesh, serviceIdentity } from './mesh.ts';
import { holding, makePlace, openNetwork } from './place.ts';
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

  it('goes out in plaintext where everything is let out, and is cut off by the proxy of the callee', async () => {
    const name = 'passer';
    const place = await makePlace(mesh.namespace, name);
    await using _ = await openNetwork();
    await using _open = await holding({
      apiVersion: 'networking.istio.io/v1',
      kind: 'Sidecar',
      metadata: { name, namespace: mesh.namespace },
      spec: {
        workloadSelector: { labels: { app: name } },
        outboundTrafficPolicy: { mode: 'ALLOW_ANY' },
        egress: [{ hosts: ['./*'] }],
      },
    });
    const address = `${(await podOf('auth')).ip}:${grpcPort}`;
    const call = { address, authority: address, path, token: await tokenOf('gateway') };
    await using _logged = await holding({
      apiVersion: 'telemetry.istio.io/v1',
      kind: 'Telemetry',
      metadata: { name, namespace: mesh.namespace },
      spec: {
        selector: { matchLabels: { app: name } },
        accessLogging: [{ providers: [{ name: 'skein-access-log' }] }],
      },
    });
    await vi.waitFor(
      async () => {
        const result = await callFrom(place, call);
        expect(result.status).toBe(unavailable);
        const selector = `app=${name}`;
        const found = (await loggedCalls(mesh.namespace, selector)).filter(({ cluster }) =>
          cluster?.startsWith('Passthrough'),
        );
        expect(found.at(-1)).toMatchObject({ upstream: address, calleeTls: null, flags: 'UC' });
      },
      { timeout: 45_000, interval: 2_000 },
    );
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

describe('a pod that goes', () => {
  it('is not called any more: every call is answered by the one that stays', async () => {
    await using wayIn = await openWayIn();
    // In turn, because one person may not ask as often as this does.
    const tokens: string[] = [];
    while (tokens.length < 4) tokens.push(await register(wayIn));
    const [going] = await podsOf('auth');
    const { namespace, pod = '' } = { ...mesh, ...going };
    const gone = kubectlWait('-n', namespace, 'delete', 'pod', pod, '--wait');
    let done = false;
    const watched = gone.finally(() => {
      done = true;
    });
    const answers: number[] = [];
    // The list of tokens is with auth.
    while (!done) {
      const token = tokens[answers.length % tokens.length] ?? '';
      answers.push((await wayIn.ask('GET', '/v1/auth/tokens', { token })).status);
    }
    await watched;
    expect(answers.length).toBeGreaterThan(20);
    expect(answers.filter((status) => status !== 200)).toEqual([]);
    await kubectlWait('-n', namespace, 'rollout', 'status', 'deployment/skein-auth');
  });
});

describe('a service without the authority template', () => {
  it('reaches nobody, and says so; with it everything is well again', { timeout: 400_000 }, async () => {
    await using wayIn = await openWayIn();
    const withoutTemplate = JSON.stringify([{ name: 'DISCOVERY_AUTHORITY_TEMPLATE', value: '' }]);
    try {
      const before = await podOf('user');
      await installChart(mesh, '--set-json', `services.user.extraEnv=${withoutTemplate}`);
      // It works on to its end, with the template.
      await kubectlWait('-n', before.namespace, 'wait', '--for=delete', `pod/${before.pod}`);
      // The service user asks auth for the account of somebody it does not know yet.
      const token = await register(wayIn);
      const { status, body } = await wayIn.ask('GET', '/v1/me', { token });
      expect(status).toBe(503);
      expect(JSON.parse(body)).toMatchObject({ retryable: true });
    } finally {
      await installChart(mesh);
    }
    // The pod without it serves until it has drained, and a circuit that opened closes again.
    await vi.waitFor(
      async () => {
        const token = await register(wayIn);
        expect(await wayIn.ask('GET', '/v1/me', { token })).toMatchObject({ status: 200 });
      },
      { timeout: 60_000, interval: 2_000 },
    );
  });
});
