import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { componentNamed } from '../src/catalogue.ts';
import { cacheDirectory, compareVersions, componentPath, findComponent } from '../src/locate.ts';

describe('where a component is found', () => {
  let root: string;
  let env: Record<string, string>;

  const program = async (folder: string, name: string, says: string) => {
    const path = join(root, folder, name);
    await mkdir(join(root, folder), { recursive: true });
    await writeFile(path, `#!/bin/sh\necho '${says}'\n`);
    await chmod(path, 0o755);
    return path;
  };

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'skein-locate-'));
    env = { PATH: `${join(root, 'bin')}:${join(root, 'more')}`, SKEIN_CACHE: join(root, 'cache') };
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  it('is the program that the variable names, whatever its version', async () => {
    const path = await program('own', 'old-consul', 'Consul v0.1.0');
    await program('bin', 'consul', 'Consul v1.19.2');
    expect(await findComponent(componentNamed('consul'), { ...env, SKEIN_CONSUL: path })).toEqual({
      path,
      origin: 'variable',
    });
  });

  it('is refused when the variable names nothing that runs', async () => {
    await expect(componentPath('consul', { ...env, SKEIN_CONSUL: join(root, 'nowhere') })).rejects.toThrow(
      `SKEIN_CONSUL is ${join(root, 'nowhere')}, which is not a program that can be run.`,
    );
  });

  it('is PATH before the cache', async () => {
    const path = await program('bin', 'nats-server', 'nats-server: v2.12.1');
    await program('cache/components/nats-server-2.15.2', 'nats-server', 'nats-server: v2.15.2');
    expect(await componentPath('nats-server', env)).toBe(path);
  });

  it.each([
    ['too old', 'Consul v1.15.9'],
    ['of another major version', 'Consul v2.0.0'],
    ['something else of that name', 'usage: consul [FILE]'],
  ])('passes over a program on PATH that is %s', async (_why, says) => {
    await program('bin', 'consul', says);
    const newer = await program('more', 'consul', 'Consul v1.20.0');
    expect(await componentPath('consul', env)).toBe(newer);
    await rm(newer);
    const cached = await program('cache/components/consul-1.19.2', 'consul', 'Consul v1.19.2');
    expect(await componentPath('consul', env)).toBe(cached);
  });

  it('takes any new browser, under any of its names', async () => {
    const path = await program('bin', 'google-chrome', 'Google Chrome 160.0.1.2');
    expect(await componentPath('chromium', env)).toBe(path);
  });

  it('is the folder for PYTHONPATH when it is a Python package', async () => {
    const folder = 'cache/components/python-websockets-15.0.1';
    await mkdir(join(root, folder), { recursive: true });
    await expect(componentPath('python-websockets', env)).rejects.toThrow(
      'python-websockets 15.0.1 is missing: run "npm run components", or install Python 3.9 or newer with pip, or set SKEIN_PYTHON_WEBSOCKETS to its path.',
    );
    await program(`${folder}/websockets`, '__init__.py', '');
    expect(await componentPath('python-websockets', env)).toBe(join(root, folder));
    const own = await componentPath('python-websockets', {
      ...env,
      SKEIN_PYTHON_WEBSOCKETS: join(root, folder),
    });
    expect(own).toBe(join(root, folder));
    await expect(
      componentPath('python-websockets', { ...env, SKEIN_PYTHON_WEBSOCKETS: root }),
    ).rejects.toThrow(`which is not a folder with the Python package websockets.`);
  });

  it('says in one sentence how to get what is missing', async () => {
    await expect(componentPath('nats-server', env)).rejects.toThrow(
      'nats-server 2.15.2 is missing: run "npm run components", or install NATS server 2.11 or newer from nats.io/download, or set SKEIN_NATS_SERVER to its path.',
    );
  });

  it('keeps the cache out of the work tree, in the place the user chose', () => {
    expect(cacheDirectory({ SKEIN_CACHE: '/a', XDG_CACHE_HOME: '/b' })).toBe('/a');
    expect(cacheDirectory({ XDG_CACHE_HOME: '/b' })).toBe('/b/skein');
    expect(cacheDirectory({})).toMatch(/\.cache\/skein$/);
  });

  it('compares versions by number, not by letter', () => {
    expect(compareVersions([1, 9, 0], [1, 19, 2])).toBeLessThan(0);
    expect(compareVersions([1, 19], [1, 19, 0])).toBe(0);
  });
});
