import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConfigSchema, readConfig } from '../../packages/service-kit/src/index.ts';
import { config as agent } from '../../services/agent/src/config.ts';
import { authConfig as auth } from '../../services/auth/src/config.ts';
import { config as gateway } from '../../services/gateway/src/config.ts';
import { config as sessionSync } from '../../services/session-sync/src/config.ts';
import { userConfig as user } from '../../services/user/src/config.ts';
import { filesUnder } from '../bootstrap/fingerprint.mjs';
import { componentImages } from '../images/components.ts';
import { services, version } from '../images/stage.ts';
import { root } from '../run.ts';
import { composeFile, imageEnvironment, interpolate } from './compose-file.ts';

const schemas: Readonly<Record<string, ConfigSchema>> = {
  agent,
  auth,
  gateway,
  'session-sync': sessionSync,
  user,
};
const file = composeFile();
const containers = Object.entries(file.services);
const environmentOf = (service: string) => file.services[service]?.environment ?? {};

const folder = mkdtempSync(join(tmpdir(), 'skein-compose-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the page tells to put into `.env`, done as it says. */
const secrets: Record<string, string> = {};
beforeAll(() => {
  const page = readFileSync(join(root, 'docs/how-to/build-images.md'), 'utf8');
  const snippet = /```sh\n([^`]*> \.env)\n```/.exec(page)?.[1] ?? 'exit 1';
  execFileSync('sh', ['-ec', snippet], { cwd: folder });
  for (const line of readFileSync(join(folder, '.env'), 'utf8').trim().split('\n')) {
    const [name = '', value = ''] = line.split('=');
    secrets[name] = value;
  }
});

describe('compose.yaml', () => {
  it('has the five services and what they stand on', () => {
    const names = [...services, 'collector', 'consul', 'nats', 'postgres'].sort();
    expect(containers.map(([name]) => name).sort()).toEqual(names);
  });

  it.each(services)('gives %s a configuration without a fault', (service) => {
    const schema = schemas[service] ?? {};
    const given = Object.entries(environmentOf(service)).map(([name, value]) => [
      name,
      interpolate(String(value), secrets),
    ]);
    const values = readConfig(schema, { ...imageEnvironment(), ...Object.fromEntries(given) });
    // An address that nobody else can use would be registered.
    expect(values['DISCOVERY_ADDRESS']).toBe(service);
    expect(given.map(([name]) => name).filter((name = '') => !Object.hasOwn(schema, name))).toEqual([]);
  });

  it('does not start without a secret, and says where to get it', () => {
    for (const name of ['INTERNAL_SECRET', 'POSTGRES_PASSWORD', 'AUTH_MASTER_KEY']) {
      const { [name]: _, ...rest } = secrets;
      const start = () => containers.map(([, one]) => interpolate(JSON.stringify(one), rest));
      expect(start).toThrow(`${name} is missing from .env, see docs/how-to/build-images.md`);
    }
  });

  it('shows a secret only to whoever needs it', () => {
    const holders = (secret: string) =>
      containers.filter(([, one]) => JSON.stringify(one).includes(`\${${secret}`)).map(([name]) => name);
    expect(holders('AUTH_MASTER_KEY')).toEqual(['auth']);
    expect(holders('AGENT_MODEL_KEY')).toEqual(['agent']);
    expect(holders('POSTGRES_PASSWORD').sort()).toEqual([
      'agent',
      'auth',
      'postgres',
      'session-sync',
      'user',
    ]);
    expect(holders('INTERNAL_SECRET').sort()).toEqual(services);
  });

  it.each(containers)('runs %s read-only, without capabilities, under a numbered user', (name, one) => {
    expect(one.read_only).toBe(true);
    expect(one.cap_drop).toEqual(['ALL']);
    expect(one.security_opt).toEqual(['no-new-privileges:true']);
    // Ours is in the image.
    if (!services.includes(name)) expect(one.user).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect(one.healthcheck?.test?.[0] ?? one.healthcheck?.disable).toBe(name === 'collector' ? true : 'CMD');
  });

  it('names the images that "npm run images" makes, and none by the tag latest', () => {
    const ours = services.map((service) => `skein/${service}:${version}`);
    const others = Object.values(componentImages).map(({ image }) => image);
    const named = containers.map(([, { image }]) => interpolate(image, {}));
    expect(named.sort()).toEqual([...ours, ...others].sort());
    expect(named.filter((image) => !/:\d/.test(image))).toEqual([]);
  });

  it('lets nobody in but to the gateway, and that from this machine', () => {
    const open = containers.filter(([, { ports }]) => ports);
    expect(open.map(([name]) => name)).toEqual(['gateway']);
    expect(open.flatMap(([, { ports = [] }]) => ports).every((port) => port.startsWith('127.0.0.1:'))).toBe(
      true,
    );
    const outside = containers.filter(([, { networks }]) => networks.includes('outside'));
    expect(outside.map(([name]) => name)).toEqual(['gateway', 'agent']);
  });

  it('asks the health port that the images have', () => {
    const { MANAGEMENT_PORT } = imageEnvironment();
    for (const service of services)
      expect(file.services[service]?.healthcheck?.test?.join(' ')).toContain(`:${MANAGEMENT_PORT}/readyz`);
  });
});

describe('manifests for a cluster', () => {
  it('name only images that "npm run images" makes', () => {
    const made = new Set(Object.values(componentImages).map(({ image }) => image));
    const manifests: string[] = existsSync(join(root, 'k8s')) ? filesUnder(join(root, 'k8s')) : [];
    const named = manifests
      .filter((path) => path.endsWith('.yaml'))
      .flatMap((path) => [...readFileSync(path, 'utf8').matchAll(/^\s*(?:- )?image: "?([^"\s]+)/gm)])
      .map(([, image = '']) => image);
    expect(named.filter((image) => !made.has(image))).toEqual([]);
  });
});
