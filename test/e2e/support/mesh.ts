import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LocalMesh, type LocalMeshOptions, localMesh } from '@skein/launcher';

/** A mesh of real processes for one test file, with what they logged. */
export interface TestMesh extends AsyncDisposable {
  readonly mesh: LocalMesh;
  readonly url: string;
  /** Lines of all processes so far, for looking things up after a failure. */
  readonly lines: readonly string[];
}

const maxLines = 20_000;

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });

/** Systems give ports above this to whoever connects; one that is free now may be somebody's a moment later. */
const firstEphemeral = 32_700;
const firstBlock = 20_000;
const blocks = (firstEphemeral - firstBlock) / 100;

/** A base port whose whole block of sixty is free. */
export const freeBlock = async (): Promise<number> => {
  for (let tried = 0; tried < blocks; tried += 1) {
    const base = firstBlock + ((process.pid + tried) % blocks) * 100;
    const all = await Promise.all(Array.from({ length: 60 }, (_, at) => isFree(base + at)));
    if (all.every(Boolean)) return base;
  }
  throw new Error('no sixty neighbouring ports are free');
};

/** Starts everything in a data directory of its own, on ports of its own. Dispose stops it and removes the data. */
export const testMesh = async (
  options: { mesh?: boolean; env?: Record<string, string>; mainOf?: LocalMeshOptions['mainOf'] } = {},
): Promise<TestMesh> => {
  const dataDir = mkdtempSync(join(tmpdir(), 'skein-e2e-'));
  // As root the database runs as somebody else, who has to get in.
  chmodSync(dataDir, 0o755);
  const base = await freeBlock();
  const lines: string[] = [];
  const mesh = localMesh({
    dataDir,
    mesh: options.mesh ?? false,
    port: base,
    grpcPort: base + 20,
    managementPort: base + 40,
    env: { ...process.env, LOG_LEVEL: 'info', ...options.env },
    ...(options.mainOf ? { mainOf: options.mainOf } : {}),
    told: (name, event) => {
      if (lines.length < maxLines)
        lines.push(`${name}  ${event.kind === 'line' ? event.line : JSON.stringify(event)}`);
    },
  });
  const dispose = async () => {
    await mesh.stop();
    rmSync(dataDir, { recursive: true, force: true });
  };
  try {
    await mesh.run();
  } catch (error) {
    await dispose();
    throw new Error(`the mesh did not start:\n${lines.slice(-40).join('\n')}`, { cause: error });
  }
  return { mesh, url: mesh.url, lines, [Symbol.asyncDispose]: dispose };
};

/** A person who has just registered. */
export interface Person {
  readonly id: string;
  readonly email: string;
  readonly password: string;
  readonly accessToken: string;
  readonly refreshToken: string;
}

/** Registers somebody new over the public API. */
export const newPerson = async (url: string): Promise<Person> => {
  const email = `${crypto.randomUUID()}@example.test`;
  const password = crypto.randomUUID();
  const response = await fetch(`${url}/v1/auth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email, password, displayName: 'Tester' }),
  });
  const body = (await response.json()) as { user: { id: string }; accessToken: string; refreshToken: string };
  if (response.status !== 201) throw new Error(`register: ${response.status} ${JSON.stringify(body)}`);
  return {
    id: body.user.id,
    email,
    password,
    accessToken: body.accessToken,
    refreshToken: body.refreshToken,
  };
};
