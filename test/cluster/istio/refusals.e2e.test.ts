import { describe, expect, it, vi } from 'vitest';
import { loggedCalls } from './access-log.ts';
import { callFrom, type Place, podOf, tokenOf } from './calls.ts';
import { authorityOf, identityOf, mesh, outside } from './mesh.ts';
import { holding, makePlace, openNetwork } from './place.ts';
import { useMesh } from './use-mesh.ts';

useMesh();

const grpcPort = 50_051;
/** What only the service user may ask. */
const forUser = '/skein.auth.v1.AuthService/GetAccount';
/** What the gateway may ask. */
const forGateway = '/skein.auth.v1.AuthService/GetJwks';
const status = { permissionDenied: 7, unavailable: 14, unauthenticated: 16 };
const denied = { status: status.permissionDenied, message: 'RBAC: access denied' };

/** A call of auth by its name and the address of one of its pods, as our clients make them. */
const toAuth = async (path: string, token: string) => ({
  address: `${(await podOf('auth')).ip}:${grpcPort}`,
  authority: authorityOf('auth'),
  ...{ path, token },
});

/** What the proxies of a service have logged of a call. */
const loggedBy = (service: string, id: string) =>
  vi.waitFor(
    async () => {
      const calls = await loggedCalls(mesh.namespace, `app.kubernetes.io/name=${service}`);
      const found = calls.find(({ requestId }) => requestId === id);
      if (!found) throw new Error(`No proxy of ${service} has logged the call ${id}.`);
      return found;
    },
    { timeout: 30_000, interval: 2_000 },
  );

describe('what is not ours', () => {
  it('is kept away by the network first: the policies of the chart', { timeout: 180_000 }, async () => {
    const stranger = await makePlace(outside, 'stranger');
    const intruder = await makePlace(mesh.namespace, 'intruder');
    const call = await toAuth(forUser, await tokenOf('user'));
    expect((await callFrom(stranger, call)).error).toMatch(/^(EHOSTUNREACH|ECONNREFUSED|no answer)$/);
    expect((await callFrom(intruder, call)).status).toBe(status.unavailable);
  });

  describe('and, where the network lets it through, by the mesh:', () => {
    const place = (namespace: string, pod: string): Place => ({ namespace, pod, container: pod });

    it('plaintext from a pod without a sidecar is cut off', async () => {
      await using _ = await openNetwork();
      const call = await toAuth(forUser, await tokenOf('user'));
      await vi.waitFor(
        async () => expect((await callFrom(place(outside, 'stranger'), call)).error).toBe('ECONNRESET'),
        { timeout: 30_000, interval: 1_000 },
      );
    });

    it('an identity that no policy names is denied, whatever token it has', async () => {
      await using _ = await openNetwork();
      const call = await toAuth(forUser, await tokenOf('user'));
      const result = await vi.waitFor(
        async () => {
          const found = await callFrom(place(mesh.namespace, 'intruder'), call);
          expect(found).toMatchObject(denied);
          return found;
        },
        { timeout: 30_000, interval: 1_000 },
      );
      expect(await loggedBy('auth', result.id)).toMatchObject({
        caller: identityOf('intruder'),
        details: expect.stringContaining('rbac_access_denied'),
      });
    });

    it('is cut off even where somebody has made the namespace permissive', async () => {
      await using _ = await openNetwork();
      await using _permissive = await holding({
        apiVersion: 'security.istio.io/v1',
        kind: 'PeerAuthentication',
        metadata: { name: 'permissive', namespace: mesh.namespace },
        spec: { mtls: { mode: 'PERMISSIVE' } },
      });
      // The policy of the chart selects its pods, and so wins; it stays so while the other one spreads.
      const call = await toAuth(forUser, await tokenOf('user'));
      const cutOff = async () =>
        expect((await callFrom(place(outside, 'stranger'), call)).error).toBe('ECONNRESET');
      // Until the network is open, it is the one that refuses.
      await vi.waitFor(cutOff, { timeout: 30_000, interval: 1_000 });
      const until = performance.now() + 10_000;
      while (performance.now() < until) await cutOff();
    });
  });
});

describe('one of our services', () => {
  it('reaches the method that its code calls', async () => {
    const call = await toAuth(forGateway, await tokenOf('gateway'));
    expect(await callFrom(await podOf('gateway'), call)).toMatchObject({ http: 200, status: 0 });
  });

  it('is denied another method of the same service, by the callee’s proxy', async () => {
    // With the token of the one who may: so it is the mesh that refuses.
    const result = await callFrom(await podOf('gateway'), await toAuth(forUser, await tokenOf('user')));
    expect(result).toMatchObject(denied);
    expect(await loggedBy('auth', result.id)).toMatchObject({
      caller: identityOf(`${mesh.release}-gateway`),
    });
  });

  it('is refused by its own proxy what its code does not call', async () => {
    const agent = await podOf('agent');
    const result = await callFrom(agent, await toAuth(forUser, await tokenOf('user')));
    expect(result.status).toBe(status.unavailable);
    // The proxy has no route, and went nowhere.
    expect(await loggedBy('agent', result.id)).toMatchObject({ grpc: 'Unavailable', upstream: null });
  });
});
