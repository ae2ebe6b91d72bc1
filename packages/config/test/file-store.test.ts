import { mkdir, mkdtemp, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fileStore } from '../src/index.ts';
import { testConfigStore } from '../src/testing.ts';

for (const kind of ['yaml', 'json'])
  testConfigStore(`a ${kind} file`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'skein-config-'));
    const path = join(folder, `config.${kind}`);
    const open = () => fileStore(`file:${path}`);
    return {
      store: open(),
      other: open(),
      spoil: () => writeFile(path, 'gateway: [\n  RATE: {'),
      away: async () => {
        await rename(path, `${path}.kept`);
        await mkdir(path);
      },
      back: async () => {
        await rm(path, { recursive: true });
        await rename(`${path}.kept`, path);
      },
      lose: () => rm(path),
      stop: () => rm(folder, { recursive: true, force: true }),
    };
  });

describe('a file with settings', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'skein-config-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('keeps its comments, its other scopes and its mode when one scope is written', async () => {
    const path = join(folder, 'config.yaml');
    await writeFile(path, '# for everybody\nall:\n  LOG_LEVEL: warn # quiet\ngateway:\n  RATE: 1\n', {
      mode: 0o640,
    });
    const store = fileStore(`file://${path}`);
    const { documents } = await store.read();
    const seen = documents['gateway']?.revision ?? '';
    expect(await store.write([{ scope: 'gateway', settings: { RATE: 2 }, seen }])).toBe(true);
    expect(await readFile(path, 'utf8')).toBe(
      '# for everybody\nall:\n  LOG_LEVEL: warn # quiet\ngateway:\n  RATE: 2\n',
    );
    expect((await stat(path)).mode & 0o777).toBe(0o640);
  });

  it.each([
    ['# nothing yet\n', '# nothing yet\nall:\n  A: 1\n'],
    ['# nothing yet', '# nothing yet\nall:\n  A: 1\n'],
    ['null', 'all:\n  A: 1\n'],
    ['# mine\n~\n# and mine\n', '# mine\nall:\n  A: 1\n# and mine\n'],
    ['---\n', '---\nall:\n  A: 1\n'],
    ['--- # mine\n', '--- \nall:\n  A: 1\n# mine\n'],
  ])('keeps the comments of a file that says nothing yet: %j', async (text, written) => {
    const path = join(folder, 'config.yaml');
    await writeFile(path, text);
    expect(await fileStore(`file:${path}`).write([{ scope: 'all', settings: { A: 1 }, seen: '' }])).toBe(
      true,
    );
    expect(await readFile(path, 'utf8')).toBe(written);
    expect((await fileStore(`file:${path}`).read()).documents['all']?.settings).toEqual({ A: 1 });
  });

  it('is not written over while it cannot be read', async () => {
    const path = join(folder, 'config.yaml');
    await writeFile(path, 'all: [');
    await expect(
      fileStore(`file:${path}`).write([{ scope: 'gateway', settings: {}, seen: '' }]),
    ).rejects.toThrow('mend it first');
    expect(await readFile(path, 'utf8')).toBe('all: [');
  });

  it('is followed through the link that Kubernetes swaps', async () => {
    for (const n of [1, 2]) {
      await mkdir(join(folder, `..${n}`));
      await writeFile(join(folder, `..${n}`, 'config.yaml'), `gateway: { RATE: ${n} }\n`);
    }
    await symlink('..1', join(folder, '..data'));
    await symlink('..data/config.yaml', join(folder, 'config.yaml'));
    const store = fileStore(`file:${folder}/config.yaml`);
    const { revision } = await store.read();
    const { signal } = new AbortController();
    const waiting = store.read({ after: revision, waitMs: 60_000, signal });
    await symlink('..2', join(folder, '..data_tmp'));
    await rename(join(folder, '..data_tmp'), join(folder, '..data'));
    expect((await waiting).documents['gateway']?.settings).toEqual({ RATE: 2 });
  });

  it('refuses documents in which a few bytes stand for gigabytes', async () => {
    const path = join(folder, 'config.yaml');
    await writeFile(path, 'all: &a { A: 1 }\ngateway: *a\n');
    const { documents } = await fileStore(`file:${path}`).read();
    expect(documents['all']?.fault).toContain('is not YAML');
  });

  it.each(['file:relative.yaml', 'file://host/config.yaml', 'file:', '/etc/config.yaml'])(
    '%s is no file',
    (url) => {
      expect(() => fileStore(url)).toThrow('must be file:/absolute/path');
    },
  );
});
