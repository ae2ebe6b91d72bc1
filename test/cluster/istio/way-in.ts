import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:https';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { vi } from 'vitest';
import { WebSocket } from 'ws';
import { getJson } from '../support/program.ts';
import { ingress } from './mesh.ts';

/** What a request was answered. */
export interface HttpAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** How a person comes in: by https, through Istio's ingress. */
export interface WayIn extends AsyncDisposable {
  ask(method: string, path: string, options?: { token?: string; body?: unknown }): Promise<HttpAnswer>;
  socket(path: string): WebSocket;
}

const timeoutMs = 20_000;

/** The local port of a port-forward to the ingress, which ends with `close`. */
const forward = async (): Promise<{ port: number; close: () => Promise<void> }> => {
  const args = ['-n', ingress.namespace, 'port-forward', `service/${ingress.service}`, ':443'];
  const child = spawn('kubectl', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const close = async (): Promise<void> => {
    if (child.exitCode !== null) return;
    child.kill();
    await once(child, 'close');
  };
  for await (const line of createInterface({ input: child.stdout })) {
    const [, port] = /^Forwarding from 127\.0\.0\.1:(\d+)/.exec(line) ?? [];
    if (port === undefined) continue;
    // What comes later is a line for each connection.
    child.stdout.resume();
    return { port: Number(port), close };
  }
  throw new Error(`kubectl ${args.join(' ')} forwards nothing`);
};

/** Opens the way in. */
export const openWayIn = async (): Promise<WayIn> => {
  const { data } = await getJson<{ data: Record<string, string> }>(
    'secret',
    'skein-tls',
    '-n',
    ingress.namespace,
  );
  const ca = Buffer.from(data['tls.crt'] ?? '', 'base64').toString();
  const { port, close } = await forward();
  const { host } = ingress;
  // The certificate and the route are for the public name; the address is that of the port-forward.
  const common = { ca, servername: host, headers: { host } };
  return {
    ask: async (method, path, { token, body } = {}) => {
      const headers = {
        ...common.headers,
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      };
      const sent = request({ ...common, host: '127.0.0.1', port, method, path, headers, timeout: timeoutMs });
      sent.once('timeout', () => sent.destroy(new Error(`${method} ${path} was not answered`)));
      sent.end(body === undefined ? undefined : JSON.stringify(body));
      const [response] = await once(sent, 'response');
      const type = String(response.headers['content-type'] ?? '');
      return { status: response.statusCode, type, body: await text(response) };
    },
    socket: (path) => new WebSocket(`wss://127.0.0.1:${port}${path}`, common),
    [Symbol.asyncDispose]: close,
  };
};

/** Registers a new person, and gives the access token; as often as it takes when pods have only just started. */
export const register = (wayIn: WayIn): Promise<string> =>
  vi.waitFor(
    async () => {
      const body = { email: `${crypto.randomUUID()}@example.invalid`, password: crypto.randomUUID() };
      const { status, body: told } = await wayIn.ask('POST', '/v1/auth/register', { body });
      if (status !== 201) throw new Error(`register was answered ${status}: ${told}`);
      return (JSON.parse(told) as { accessToken: string }).accessToken;
    },
    { timeout: 60_000, interval: 1_000 },
  );

/**
 * Waits until people are let in and every service answers them: that pods are ready says nothing yet of routes, keys and
 * policies, which reach each proxy by themselves.
 */
export const untilOpen = async (): Promise<void> => {
  await using wayIn = await openWayIn();
  const token = await register(wayIn);
  const paths = ['/v1/me', '/v1/personas', '/v1/auth/tokens', '/v1/spaces/personal/conversations'];
  await vi.waitFor(
    async () => {
      for (const path of paths) {
        const { status, body } = await wayIn.ask('GET', path, { token });
        if (status !== 200) throw new Error(`GET ${path} was answered ${status}: ${body}`);
      }
    },
    { timeout: 60_000, interval: 1_000 },
  );
};
