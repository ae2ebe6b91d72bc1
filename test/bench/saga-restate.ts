import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { Engine } from './saga-shared.ts';

/** Its server is 220 MB, so it is fetched for this benchmark only. */
const version = '1.7.12';
const scope = '@restatedev';
const packages = { [`${scope}/restate-server`]: version, [`${scope}/restate-sdk`]: '1.17.2' };

const installed = async (): Promise<string> => {
  const folder = join(
    process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
    'skein',
    'bench',
    `restate-${version}`,
  );
  const done = join(folder, 'done');
  if (
    await access(done).then(
      () => true,
      () => false,
    )
  )
    return folder;
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies: packages }));
  await promisify(execFile)('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts'], {
    cwd: folder,
    timeout: 180_000,
  });
  await writeFile(done, '');
  return folder;
};

/** What is used of the SDK, which is not there when types are checked. */
interface RestateContext {
  run(name: string, action: () => Promise<void>): PromiseLike<void>;
}
interface RestateSdk {
  service(options: {
    readonly name: string;
    readonly handlers: Readonly<Record<string, (ctx: RestateContext) => Promise<string>>>;
  }): unknown;
  serve(options: { readonly services: readonly unknown[]; readonly port: number }): Promise<number>;
}

const ports = { handlers: 19_080, ingress: 18_080, admin: 19_070, node: 15_122 };
const nothing = async () => {};

const handler = (steps: number) => async (ctx: RestateContext) => {
  for (let step = 0; step < steps; step += 1) await ctx.run(`step${step}`, nothing);
  return 'done';
};

const answered = async (what: string, ask: () => Promise<Response>): Promise<void> => {
  let last: unknown;
  for (let tries = 0; tries < 150; tries += 1) {
    try {
      const response = await ask();
      if (response.ok) return;
      last = `${response.status} ${await response.text()}`;
    } catch (error) {
      last = error;
    }
    await pause(200);
  }
  throw new Error(`${what} does not answer`, { cause: last });
};

/** Restate as its documentation starts it: one server with its own store, fsync on, handlers in this process. */
export const engine = async (): Promise<Engine> => {
  const folder = await installed();
  const require = createRequire(join(folder, 'package.json'));
  const sdk = (await import(
    pathToFileURL(require.resolve(`${scope}/restate-sdk`)).href
  )) as unknown as RestateSdk;
  const base = await mkdtemp(join(tmpdir(), 'skein-bench-restate-'));
  const arch = `${process.platform}-${process.arch}`;
  const binary = require.resolve(`${scope}/restate-server-${arch}/bin/restate-server`);
  const server = spawn(binary, ['--base-dir', base, '--node-name', 'bench'], {
    cwd: base,
    stdio: 'ignore',
    env: {
      ...process.env,
      RESTATE_BIND_ADDRESS: `127.0.0.1:${ports.node}`,
      RESTATE_ADVERTISED_ADDRESS: `http://127.0.0.1:${ports.node}`,
      RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ports.ingress}`,
      RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${ports.admin}`,
      RESTATE_LOG_FILTER: 'error',
      DO_NOT_TRACK: '1',
    },
  });
  const gone = once(server, 'exit');
  const bench = sdk.service({ name: 'bench', handlers: { one: handler(1), five: handler(5) } });
  await sdk.serve({ services: [bench], port: ports.handlers });
  const json = { method: 'POST', headers: { 'content-type': 'application/json' } };
  await answered('the Restate server', () =>
    fetch(`http://127.0.0.1:${ports.admin}/deployments`, {
      ...json,
      body: JSON.stringify({ uri: `http://127.0.0.1:${ports.handlers}` }),
    }),
  );
  const call = (name: string) => fetch(`http://127.0.0.1:${ports.ingress}/bench/${name}`, { method: 'POST' });
  await answered('the Restate ingress', () => call('one'));
  return {
    run: async (steps) => {
      const response = await call(steps === 1 ? 'one' : 'five');
      const text = await response.text();
      if (!response.ok) throw new Error(`Restate answered ${response.status}: ${text}`);
    },
    servers: [server.pid ?? 0],
    stop: async () => {
      server.kill('SIGTERM');
      await gone;
      await rm(base, { recursive: true, force: true });
    },
  };
};
