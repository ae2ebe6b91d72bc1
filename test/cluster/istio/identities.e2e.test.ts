import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { table } from '../../bench/measure-stats.ts';
import { chart } from '../../mesh/support/paths.ts';
import { ask, kubectl, must } from '../support/program.ts';
import { cameIn, loggedCalls, type PodCall } from './access-log.ts';
import { authorityOf, mesh, serviceIdentity } from './mesh.ts';
import { useMesh } from './use-mesh.ts';
import { openWayIn, register } from './way-in.ts';

useMesh();

const { release, namespace } = mesh;

/** Callee → caller → methods, as the chart has them from the code. */
const codeEdges = async (): Promise<Record<string, { callers: Record<string, string[]> }>> =>
  parse(await readFile(join(chart, 'files', 'edges.yaml'), 'utf8')).services;

/** A call, and the service that it came to. */
type ArrivedCall = PodCall & { readonly callee: string };

/** Calls of gRPC that reached a service, by the service. Those that its proxy refused are another test's. */
const arrived = async (services: readonly string[]): Promise<ArrivedCall[]> =>
  (
    await Promise.all(
      services.map(async (service) =>
        (
          await loggedCalls(namespace, `app.kubernetes.io/name=${service}`)
        )
          .filter((call) => cameIn(call) && call.cluster?.includes('|50051|'))
          .filter(({ details }) => !details.startsWith('rbac_access_denied'))
          .map((call) => ({ ...call, callee: service })),
      ),
    )
  ).flat();

/** The service of an identity; the identity itself when it is none of ours. */
const serviceOf = (identity: string | null): string =>
  identity?.replace(serviceIdentity(''), '') ?? 'nobody (plaintext)';

const edgeOf = ({ caller, callee }: ArrivedCall): string => `${serviceOf(caller)} → ${callee}`;

describe('the calls between the services', () => {
  it('pass "helm test" in the mesh: who may is answered, what is forbidden is refused by the mesh', async () => {
    const told = await must('helm', ['test', release, '-n', namespace, '--logs'], { timeoutMs: 180_000 });
    expect(told).toContain('a person is registered');
    expect(told).toContain('answered: ');
    expect(told).toMatch(/a call that nobody may make was refused by the (mesh|network)/);
  });

  it('are mutual TLS on every edge that the code has, with the identity of the caller, and on no other', async () => {
    const edges = await codeEdges();
    const services = Object.keys(edges);
    const wanted = services
      .flatMap((callee) => Object.keys(edges[callee]?.callers ?? {}).map((caller) => `${caller} → ${callee}`))
      .sort();
    await using wayIn = await openWayIn();
    const token = await register(wayIn);
    for (const path of ['/v1/me', '/v1/personas'])
      expect(await wayIn.ask('GET', path, { token }), path).toMatchObject({ status: 200 });
    // Its saga asks auth whether the person may.
    const record = { value: { pulse: 72 } };
    const asked = await wayIn.ask('POST', '/v1/spaces/personal/health-records', { token, body: record });
    expect(asked).toMatchObject({ status: 202 });
    // That of user asks all others to erase somebody.
    const leaving = await wayIn.ask('DELETE', '/v1/me', { token: await register(wayIn) });
    expect(leaving).toMatchObject({ status: 202 });

    // Proxies write their logs with a delay.
    const calls = await vi.waitFor(
      async () => {
        const found = await arrived(services);
        expect([...new Set(found.map(edgeOf))].sort()).toEqual(wanted);
        return found;
      },
      { timeout: 90_000, interval: 2_000 },
    );
    const byEdge = Map.groupBy(calls, edgeOf);
    for (const { caller, callee, path, callerTls } of calls) {
      expect(callerTls, `${path} from ${caller}`).toMatch(/^TLSv1\.[23]$/);
      expect(edges[callee]?.callers[serviceOf(caller)], `${caller} calls ${path}`).toContain(path);
    }
    const rows = [...byEdge]
      .sort()
      .map(([edge, of]) => [
        edge,
        String(of.length),
        String(new Set(of.map(({ path }) => path)).size),
        of[0]?.caller ?? '',
        of[0]?.callerTls ?? '',
      ]);
    process.stdout.write(
      `\n${table([['edge', 'calls', 'methods', 'identity of the caller', 'TLS'], ...rows])}\n`,
    );
  });

  it('find the callee they meant: the identity at the other end is the one of the authority', async () => {
    const services = Object.keys(await codeEdges());
    const out = (
      await Promise.all(
        services.map((service) => loggedCalls(namespace, `app.kubernetes.io/name=${service}`)),
      )
    )
      .flat()
      .filter(({ cluster, grpc }) => cluster?.startsWith('outbound|50051|') && grpc === 'OK');
    expect(out.length).toBeGreaterThan(0);
    for (const { authority, callee, calleeTls } of out) {
      const [service = ''] = services.filter((one) => authority === authorityOf(one));
      expect({ authority, callee }).toEqual({ authority, callee: serviceIdentity(service) });
      expect(calleeTls).toMatch(/^TLSv1\.[23]$/);
    }
  });
});

describe('istioctl', () => {
  it('finds nothing to say about the namespaces of the mesh', async () => {
    for (const one of [namespace, mesh.platform]) {
      const { ok, stdout, stderr } = await ask('istioctl', [
        ...['analyze', '-n', one, '--revision', mesh.revision ?? ''],
      ]);
      expect(stdout + stderr).toContain(`No validation issues found when analyzing namespace: ${one}`);
      expect(ok).toBe(true);
    }
  });

  it('sees every pod with a sidecar', async () => {
    const containers = await kubectl(
      ...['-n', namespace, 'get', 'pods', '-l', 'app.kubernetes.io/part-of=skein'],
      '-o=jsonpath={range .items[*]}{.metadata.name} {.spec.initContainers[*].name}{"\\n"}{end}',
    );
    for (const line of containers.trim().split('\n')) expect(line).toContain('istio-proxy');
  });
});
