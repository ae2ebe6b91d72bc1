import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { startConsul, startNats } from '@skein/components';
import { describe, expect, it, onTestFinished } from 'vitest';
import { chartScript } from './support/chart-script.ts';

/** A TCP server on the loopback address that answers whatever comes with `says`. */
const listener = async (says: string): Promise<{ server: Server; port: number }> => {
  const server = createServer((socket) => socket.on('error', () => {}).once('data', () => socket.end(says)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { server, port: (server.address() as AddressInfo).port };
};

/** A port where nobody listens any more. */
const closedPort = async (): Promise<number> => {
  const { server, port } = await listener('');
  server.close();
  await once(server, 'close');
  return port;
};

describe('the check before an install or upgrade', () => {
  it('passes when Postgres, NATS and Consul answer as such', { timeout: 60_000 }, async () => {
    await using nats = await startNats();
    await using consul = await startConsul();
    const { port } = await listener('N');
    const { ok, output } = await chartScript('check.mjs', {
      CHECK_SECONDS: '10',
      DATABASE_URL: `postgres://somebody:secret-password@127.0.0.1:${port}/skein`,
      EVENTS_URL: nats.url,
      DISCOVERY_URL: `consul://${new URL(consul.httpAddress).host}`,
    });
    expect(
      output
        .trim()
        .split('\n')
        .map((line) => line.replace(/:\d+:/, ':'))
        .sort(),
    ).toEqual([
      'Consul at 127.0.0.1: reached',
      'NATS at 127.0.0.1: reached',
      'Postgres at 127.0.0.1: reached',
    ]);
    expect(ok).toBe(true);
  });

  it('names everything that is not reached, why, and what to look at; never a password', async () => {
    const port = await closedPort();
    const { ok, output } = await chartScript('check.mjs', {
      CHECK_SECONDS: '0',
      DATABASE_URL: `postgres://somebody:secret-password@127.0.0.1:${port}/skein`,
      EVENTS_URL: `nats://127.0.0.1:${port}`,
      DISCOVERY_URL: `consul://127.0.0.1:${port}`,
    });
    expect(ok).toBe(false);
    for (const [name, value] of [
      ['Postgres', 'database'],
      ['NATS', 'events'],
      ['Consul', 'discovery'],
    ]) {
      expect(output).toContain(`${name} at 127.0.0.1:${port}: NOT reached (ECONNREFUSED). Check `);
      expect(output).toContain(`networkPolicy.${value}`);
    }
    expect(output).not.toContain('secret-password');
  });

  it('is not content with something else that listens there', async () => {
    const { port } = await listener('HTTP/1.1 400 Bad Request\r\n\r\n');
    const { ok, output } = await chartScript('check.mjs', {
      CHECK_SECONDS: '0',
      DATABASE_URL: `postgres://somebody@127.0.0.1:${port}/skein`,
    });
    expect(ok).toBe(false);
    expect(output).toContain('NOT reached (what answers there is not Postgres)');
  });

  it('says that a mesh was wanted, and there is no sidecar', async () => {
    const port = await closedPort();
    const { ok, output } = await chartScript('check.mjs', {
      CHECK_SECONDS: '0',
      SIDECAR_URL: `http://127.0.0.1:${port}/healthz/ready`,
    });
    expect(ok).toBe(false);
    expect(output).toContain("Istio's sidecar in this pod: NOT reached (ECONNREFUSED). istio.enabled is true");
    expect(output).toContain('Label the namespace istio-injection=enabled');
  });

  it('asks nothing of what is not used', async () => {
    const { port } = await listener('S');
    const { ok, output } = await chartScript('check.mjs', {
      DATABASE_URL: `postgres://somebody@127.0.0.1:${port}/skein`,
      EVENTS_URL: 'postgres:',
      DISCOVERY_URL: 'static:auth=127.0.0.1:1',
    });
    expect({ ok, output }).toEqual({ ok: true, output: `Postgres at 127.0.0.1:${port}: reached\n` });
  });
});
