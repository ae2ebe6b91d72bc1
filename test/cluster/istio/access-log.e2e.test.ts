import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { chart } from '../../mesh/support/paths.ts';
import { installChart } from '../support/stack.ts';
import { loggedCalls } from './access-log.ts';
import { callsFrom, podOf, tokenOf } from './calls.ts';
import { authorityOf, mesh } from './mesh.ts';
import { useMesh } from './use-mesh.ts';

useMesh();

const service = '/skein.auth.v1.AuthService';

describe('the log of the proxies, as the chart has it', () => {
  it('has what was refused or did not arrive, at both ends, and nothing else', {
    timeout: 180_000,
  }, async () => {
    const { istio } = parse(await readFile(join(chart, 'values.yaml'), 'utf8'));
    const filter = JSON.stringify(istio.telemetry.accessLogFilter);
    try {
      await installChart(mesh, '--set-json', `istio.telemetry.accessLogFilter=${filter}`);
      const gateway = await podOf('gateway');
      const [auth, ip] = [authorityOf('auth'), (await podOf('auth')).ip];
      const token = await tokenOf('gateway');
      const dialled = { address: `${ip}:50051`, authority: auth, token };
      const logs = async (app: string, ids: readonly string[]) =>
        (await loggedCalls(mesh.namespace, `app.kubernetes.io/name=${app}`)).filter(({ requestId }) =>
          ids.includes(requestId),
        );
      // The policy spreads to the proxies meanwhile, and their logs come with a delay.
      await vi.waitFor(
        async () => {
          const [answered, denied, unknown] = await callsFrom(gateway, [
            { ...dialled, path: `${service}/GetJwks` },
            { ...dialled, path: `${service}/GetAccount` },
            { ...dialled, authority: 'elsewhere', path: `${service}/GetJwks` },
          ]);
          const ids = [answered, denied, unknown].map((one) => one?.id ?? '');
          expect([answered?.status, denied?.status, unknown?.status]).toEqual([0, 7, 14]);
          await vi.waitFor(
            async () => {
              const at = async (app: string) =>
                (await logs(app, ids)).map(({ requestId }) => requestId).sort();
              expect(await at('auth')).toEqual([denied?.id]);
              expect(await at('gateway')).toEqual([denied?.id, unknown?.id].sort());
            },
            { timeout: 15_000, interval: 2_000 },
          );
        },
        { timeout: 90_000, interval: 1_000 },
      );
    } finally {
      await installChart(mesh);
    }
  });
});
