import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const main = fileURLToPath(import.meta.resolve('../src/main.ts'));

describe('npm run components', () => {
  let cache: string;
  beforeEach(async () => {
    cache = await mkdtemp(join(tmpdir(), 'skein-cache-'));
  });
  afterEach(() => rm(cache, { recursive: true, force: true }));

  /** Runs it on a machine that has nothing: no PATH, an empty cache. */
  const run = async (...names: string[]) => {
    const env = { SKEIN_CACHE: cache, PATH: join(cache, 'nothing-here') };
    const child = spawn(process.execPath, [main, ...names], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const [out, err, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'exit'),
    ]);
    return { code, out, err };
  };

  it('says how to install Consul and NATS by hand when there is neither Go nor pip', async () => {
    const { code, err } = await run('consul', 'nats-server');
    expect(code).toBe(1);
    expect(err).toBe(
      'Neither Go 1.26 nor pip was found, so nothing can be built: install Consul 1.16 or newer from developer.hashicorp.com/consul/install, install NATS server 2.11 or newer from nats.io/download, and run this again.\n',
    );
  });

  it('says what a Python package needs when there is no pip', async () => {
    const { code, err } = await run('python-websockets');
    expect(code).toBe(1);
    expect(err).toBe(
      'python-websockets needs pip, which was not found: install Python 3.9 or newer with pip, and run this again.\n',
    );
  });

  it('needs neither tools nor network for what is in the cache', async () => {
    const folder = join(cache, 'components', 'consul-1.19.2');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'consul'), '');
    await chmod(join(folder, 'consul'), 0o755);
    expect(await run('consul')).toEqual({
      code: 0,
      out: `consul 1.19.2         ${folder}/consul\n`,
      err: '',
    });
  });

  it('clears away what an interrupted build left', async () => {
    const left = join(cache, 'components', 'consul-1.19.2.staging-x1y2z3');
    await mkdir(left, { recursive: true });
    await run('consul');
    expect(await readdir(join(cache, 'components'))).toEqual(['build.lock']);
  });

  it('names what it does not know', async () => {
    const { code, err } = await run('etcd');
    expect(code).toBe(2);
    expect(err).toContain('There is no component etcd.');
  });
});
