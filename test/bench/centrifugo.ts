import { execFile, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

/** Built from its source where there is Go, for benchmarks only. */
const version = 'v6.9.1';
export const centrifugoLabel = `Centrifugo ${version.slice(1)}`;

const secret = 'only for this benchmark';

/** The program, built once; undefined where that cannot be done. */
const binary = async (): Promise<string | undefined> => {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const folder = join(cache, 'skein', 'bench', `centrifugo-${version.slice(1)}`);
  const file = join(folder, 'centrifugo');
  try {
    await access(file);
    return file;
  } catch {
    // Not built yet.
  }
  try {
    await mkdir(folder, { recursive: true });
    console.log(`building Centrifugo ${version}, once`);
    await promisify(execFile)(
      'go',
      ['install', '-trimpath', '-ldflags=-s -w', `github.com/centrifugal/centrifugo/v6@${version}`],
      { env: { ...process.env, GOBIN: folder, GOFLAGS: '-mod=mod' }, timeout: 900_000 },
    );
    return file;
  } catch (error) {
    console.log(`Centrifugo is left out: ${error instanceof Error ? error.message.split('\n')[0] : error}`);
    return undefined;
  }
};

const freePort = async (): Promise<number> => {
  const probe = createServer();
  probe.listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
};

const base64 = (text: string | Buffer): string => Buffer.from(text).toString('base64url');

/** A running server: its memory engine, a hundred texts a channel kept in memory, nothing on disk. */
export interface Centrifugo {
  readonly pid: number;
  readonly port: number;
  /** First frame of a client of a user, who is in these channels from the start. */
  hello(user: string, channels: readonly string[]): string;
  stop(): Promise<void>;
}

/** Starts one on a core of its own; undefined where it cannot be built. */
export const centrifugo = async (core: number): Promise<Centrifugo | undefined> => {
  const file = await binary();
  if (!file) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'skein-centrifugo-'));
  const [port, internal] = [await freePort(), await freePort()];
  const config = join(folder, 'config.json');
  await writeFile(
    config,
    JSON.stringify({
      http_server: { address: '127.0.0.1', port, internal_address: '127.0.0.1', internal_port: internal },
      client: { token: { hmac_secret_key: secret }, connection_limit: 0 },
      channel: {
        without_namespace: { history_size: 100, history_ttl: '300s', allow_publish_for_subscriber: true },
      },
      health: { enabled: true },
      log: { level: 'error' },
    }),
  );
  const child = spawn('taskset', ['-c', String(core), file, '--config', config], { stdio: 'ignore' });
  const gone = once(child, 'exit');
  const stop = async () => {
    child.kill('SIGTERM');
    await gone;
    await rm(folder, { recursive: true, force: true });
  };
  for (let tries = 0; ; tries += 1) {
    try {
      if ((await fetch(`http://127.0.0.1:${internal}/health`)).ok) break;
    } catch {
      // Not listening yet.
    }
    if (tries > 100 || child.exitCode !== null) {
      await stop();
      throw new Error('Centrifugo does not answer');
    }
    await pause(100);
  }
  return {
    pid: child.pid ?? 0,
    port,
    hello: (user, channels) => {
      const claims = base64(JSON.stringify({ sub: user, channels }));
      const signed = `${base64('{"alg":"HS256","typ":"JWT"}')}.${claims}`;
      const token = `${signed}.${base64(createHmac('sha256', secret).update(signed).digest())}`;
      return JSON.stringify({ id: 1, connect: { token } });
    },
    stop,
  };
};
