import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { chartScript } from './support/chart-script.ts';

/** A server on the loopback address that answers with `status`. */
const answering = async (status: number) => {
  const server = createServer((_, response) => response.writeHead(status).end()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/healthz/ready` };
};

const sidecar = (url: string) => chartScript('sidecar.mjs', { CHECK_SECONDS: '0', SIDECAR_URL: url });

describe('the look for a sidecar before an install or upgrade', () => {
  it('is content with one that is ready', async () => {
    const { url } = await answering(200);
    expect(await sidecar(url)).toEqual({
      ok: true,
      output: "sidecar: Istio's sidecar in this pod is reached\n",
    });
  });

  it('says that a mesh was wanted, and there is no sidecar', async () => {
    const { server, url } = await answering(200);
    server.close();
    await once(server, 'close');
    const { ok, output } = await sidecar(url);
    expect(ok).toBe(false);
    expect(output).toContain('is NOT reached (ECONNREFUSED). istio.enabled is true, but');
    expect(output).toContain('Label the namespace istio-injection=enabled');
  });

  it('is not content with one that is not ready', async () => {
    const { url } = await answering(503);
    expect(await sidecar(url)).toMatchObject({ ok: false, output: expect.stringContaining('answers 503') });
  });
});
