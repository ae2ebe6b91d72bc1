import { readConfig } from '@skein/service-kit';
import { describe, expect, it } from 'vitest';
import { services } from './support/code-edges.ts';
import { helm, type KubeObject, objectsOf, renderProfile } from './support/helm.ts';
import { chart, type Profile, profiles, profileValues } from './support/paths.ts';
import { type Container, podOf } from './support/pods.ts';

/** What Kubernetes and Secrets would fill in. */
const filledIn: Readonly<Record<string, string>> = {
  INSTANCE_ID: 'skein-pod-1',
  DISCOVERY_ADDRESS: '10.0.0.7',
  HOST_IP: '10.0.0.1',
  DATABASE_URL: 'postgres://somebody@db:5432/skein',
  DATABASE_DIRECT_URL: 'postgres://somebody@db:5433/skein',
  CONFIG_URL: 'consul://consul:8500',
  EVENTS_URL: 'nats://nats:4222',
  INTERNAL_SECRET: 'i'.repeat(32),
  AUTH_MASTER_KEY: 'm'.repeat(32),
  AGENT_MODEL_KEY: 'k'.repeat(32),
  MAIL_URL: 'smtp://mail.example.org',
};

const environment = (objects: readonly KubeObject[], name: string): Record<string, string> => {
  const named = (kind: string) =>
    objects.find((one) => one.kind === kind && one.metadata.name === `skein-${name}`);
  const { data = {} } = (named('ConfigMap') ?? {}) as { data?: Record<string, string> };
  const deployment = named('Deployment');
  const containers: readonly Container[] = (deployment && podOf(deployment)?.containers) ?? [];
  const own = (containers[0]?.env ?? []).map(({ name: variable, value }) => {
    const text = value ?? filledIn[variable] ?? `nothing fills in ${variable}`;
    return [variable, text.replace('$(HOST_IP)', filledIn['HOST_IP'] ?? '')];
  });
  return { ...data, ...Object.fromEntries(own) };
};

/** Not a setting of ours: it is there to be used in another. */
const helping = ['HOST_IP', 'UV_THREADPOOL_SIZE'];

describe.each(profiles)('what the chart tells services: %s', (profile: Profile) => {
  it.each(Object.entries(services))('%s accepts it, and knows all of it', async (name, { schema }) => {
    const env = environment(objectsOf(await renderProfile(profile)), name);
    expect(Object.keys(env).length).toBeGreaterThan(8);
    expect(Object.keys(env).filter((one) => !(one in schema) && !helping.includes(one))).toEqual([]);
    const config = readConfig(schema, env);
    expect(config).toMatchObject({ GRPC_HOST: '0.0.0.0', GRPC_PORT: 50051, MANAGEMENT_PORT: 9464 });
  });
});

describe('what a profile is about', () => {
  const told = async (profile: Profile, name: string) =>
    environment(objectsOf(await renderProfile(profile)), name);

  it('static discovery lists every service that is called, by the name of its Service', async () => {
    expect((await told('minimal', 'gateway'))['DISCOVERY_URL']).toBe(
      `static:${['agent', 'auth', 'session-sync', 'user'].map((one) => `${one}=skein-${one}.skein.svc.cluster.local:50051`).join(',')}`,
    );
  });

  it('agents of Consul on every node are found by the address of the node', async () => {
    expect((await told('external', 'user'))['DISCOVERY_URL']).toBe('consul://10.0.0.1:8500/skein-skein');
  });

  it('releases that share a Consul have a name each in it, unless their values name one', async () => {
    const urlOf = async (release: string, namespace: string, ...args: readonly string[]) => {
      const values = ['--values', profileValues('default'), ...args];
      const { output } = await helm('template', release, chart, '--namespace', namespace, ...values);
      const urls = [...output.matchAll(/name: DISCOVERY_URL\s+value: "?([^"\s]+)/g)].map(([, url]) => url);
      expect(urls.length).toBeGreaterThan(5);
      return [...new Set(urls)].join();
    };
    const consul = 'consul://consul.skein-platform.svc.cluster.local:8500';
    expect(await urlOf('skein', 'blue')).toBe(`${consul}/blue-skein`);
    expect(await urlOf('skein', 'green')).toBe(`${consul}/green-skein`);
    expect(await urlOf('other', 'blue')).toBe(`${consul}/blue-other-skein`);
    expect(await urlOf('skein', 'blue', '--set', 'discovery.url=consul://consul/mine')).toBe(
      'consul://consul/mine',
    );
  });

  it('the config centre is told to whoever has one, and its log level is not overridden', async () => {
    expect((await told('external', 'user'))['CONFIG_URL']).toBe('consul://10.0.0.1:8500/eu/skein');
    const { output } = await helm(
      ...['template', 'skein', chart, '--namespace', 'blue', '--values', profileValues('default')],
      ...['--set', 'configCentre.kind=consul'],
    );
    expect(output).toContain('consul://consul.skein-platform.svc.cluster.local:8500/skein/config/blue-skein');
    expect(await renderProfile('ha')).toMatch(
      /CONFIG_URL[^-]*secretKeyRef:\s+name: skein-config\s+key: config-url/,
    );
    const plain = await told('default', 'user');
    expect(plain).not.toHaveProperty('CONFIG_URL');
    expect(plain).not.toHaveProperty('LOG_LEVEL');
  });

  it('migrations go past a pooler where there is one, by a key of the Secret that has the other URL', async () => {
    const { DATABASE_DIRECT_URL: direct } = filledIn;
    expect(await told('external', 'user')).toMatchObject({ DATABASE_DIRECT_URL: direct });
    expect(await told('external', 'gateway')).not.toHaveProperty('DATABASE_DIRECT_URL');
    expect(await told('default', 'user')).not.toHaveProperty('DATABASE_DIRECT_URL');
    const output = await renderProfile('external');
    for (const secret of ['skein-database', 'skein-database-auth'])
      expect(output).toMatch(
        new RegExp(`DATABASE_DIRECT_URL[^-]*secretKeyRef:\\s+name: ${secret}\\s+key: direct-url`),
      );
  });

  it('metrics are served to the outside of the pod only where somebody reads them', async () => {
    expect((await told('default', 'user'))['MANAGEMENT_HOST']).toBe('127.0.0.1');
    expect((await told('ha', 'user'))['MANAGEMENT_HOST']).toBe('0.0.0.0');
  });

  it('a public gateway knows its address, its proxies and that clients come by https', async () => {
    expect(await told('external', 'gateway')).toMatchObject({
      PUBLIC_URL: 'https://skein.example.org',
      TRUST_PROXY: '1',
      BEHIND_TLS: 'true',
    });
    expect(await told('default', 'gateway')).toMatchObject({ TRUST_PROXY: '0', BEHIND_TLS: 'false' });
  });
});
