import { describe, expect, it } from 'vitest';
import { render } from './support/helm.ts';
import { type Profile, profileValues } from './support/paths.ts';

/** Wrong values, and a part of what Helm must say about them. */
const wrong: readonly {
  readonly what: string;
  readonly profile?: Profile;
  readonly set: string;
  readonly says: string;
}[] = [
  {
    what: 'a value that does not exist',
    set: 'replicaCount=2',
    says: "additional properties 'replicaCount' not allowed",
  },
  {
    what: 'a setting that a service does not have',
    set: 'services.user.config.TURN_TIMEOUT_MS=1',
    says: "additional properties 'TURN_TIMEOUT_MS' not allowed",
  },
  {
    what: 'a setting that the chart decides',
    set: 'services.auth.config.GRPC_PORT=1',
    says: "additional properties 'GRPC_PORT' not allowed",
  },
  {
    what: 'a service that does not exist',
    set: 'services.billing.replicas=1',
    says: "additional properties 'billing' not allowed",
  },
  { what: 'a number as text', set: 'defaults.replicas=many', says: 'got string, want integer' },
  { what: 'no replicas at all', set: 'defaults.replicas=0', says: 'minimum: got 0, want 1' },
  {
    what: 'an event store that is not known',
    set: 'events.kind=kafka',
    says: "value must be one of 'nats', 'postgres'",
  },
  {
    what: 'a database that is not Postgres',
    set: 'database.url=mysql://db',
    says: "'mysql://db' does not match pattern",
  },
  {
    what: 'a secret that is too short',
    set: 'internalSecret.value=short',
    says: "'short' does not match pattern",
  },
  {
    what: 'a digest that is none',
    set: 'services.auth.image.digest=latest',
    says: "'latest' does not match pattern",
  },
  {
    what: 'a log level that is not known',
    set: 'defaults.config.LOG_LEVEL=loud',
    says: "value must be one of 'trace'",
  },
  {
    what: 'a drain that is shorter than ours',
    set: 'rollout.drainSeconds=5',
    says: 'minimum: got 5, want 12',
  },
  { what: 'a privileged port', set: 'ports.http=80', says: 'minimum: got 80, want 1,024' },
  {
    what: 'no database',
    profile: 'default',
    set: 'existingSecret=',
    says: 'database is missing: set existingSecret to a Secret with the key "database-url"',
  },
  {
    what: 'no secret between services',
    profile: 'default',
    set: 'existingSecret=',
    says: 'internalSecret is missing: set existingSecret',
  },
  {
    what: 'no master key',
    profile: 'default',
    set: 'existingSecret=',
    says: 'masterKey is missing: set existingSecret',
  },
  {
    what: 'a way past the pooler in no Secret',
    set: 'database.directKey=direct-url',
    says: 'database.directKey is a key of a Secret, and database.url is given inline',
  },
  {
    what: 'alerts on what nobody scrapes',
    set: 'metrics.rules=true',
    says: 'metrics.rules asks for metrics that nobody scrapes: set metrics.monitor',
  },
  {
    what: 'a second internal secret in no Secret',
    set: 'internalSecret.alsoKey=internal-secret-next',
    says: 'internalSecret.alsoKey is a key of a Secret, and internalSecret.value is given inline',
  },
  {
    what: 'a label that is no text',
    set: 'commonLabels.version=1',
    says: 'got number, want string',
  },
  {
    what: 'a registry with a scheme',
    set: 'image.registry=https://ghcr.io',
    says: "'https://ghcr.io' does not match pattern",
  },
  { what: 'a tag with a space', set: 'image.tag=0.1 beta', says: "'0.1 beta' does not match pattern" },
  {
    what: 'a public host with a scheme',
    set: 'expose.host=https://a.example.org',
    says: "'https://a.example.org' does not match pattern",
  },
  {
    what: 'a variable that the chart sets itself',
    set: 'services.auth.extraEnv[0].name=INTERNAL_SECRET',
    says: 'extraEnv of auth names INTERNAL_SECRET, which is already there: leave it out',
  },
  {
    what: 'a variable twice',
    set: 'defaults.extraEnv[0].name=TZ,defaults.extraEnv[1].name=TZ',
    says: 'extraEnv of user names TZ, which is already there: leave it out',
  },
  {
    what: 'autoscaling by CPU that nobody requests',
    profile: 'default',
    set: 'services.user.autoscaling.enabled=true,services.user.resources.requests.cpu=null',
    says: 'autoscaling of user is by the CPU it requests, and it requests none: set resources.requests.cpu',
  },
  {
    what: 'users of their own on tables that all share',
    set: 'services.auth.databaseSecret.existingSecret=auth',
    says: 'databaseSecret of auth gives it a database user of its own, who may not use the tables that all share',
  },
  {
    what: 'a database that is closed off',
    set: 'networkPolicy.database.to=null',
    says: 'networkPolicy.database.to is empty, so nobody reaches it: name its peers',
  },
  {
    what: 'NATS that is closed off',
    profile: 'default',
    set: 'networkPolicy.events.to=null',
    says: 'networkPolicy.events.to is empty',
  },
  {
    what: 'a key set that is none',
    set: 'istio.jwt.keys=inline,istio.jwt.jwks=abc',
    says: 'istio.jwt.jwks is no key set',
  },
  {
    what: 'a name that no Service may have',
    set: 'fullnameOverride=1st',
    says: '1st cannot begin the name of a Service, which begins with a letter: set fullnameOverride',
  },
  {
    what: 'replicas on the Postgres bus',
    set: 'services.agent.replicas=2',
    says: 'agent wants more than one replica, but events.kind is postgres, which carries no live frames between replicas: use nats',
  },
  {
    what: 'autoscaling on the Postgres bus',
    set: 'services.user.autoscaling.enabled=true',
    says: 'user wants more than one replica',
  },
  {
    what: 'replicas with static discovery',
    set: 'services.auth.replicas=3,events.kind=nats',
    says: 'auth wants more than one replica, but discovery.kind is static, which finds one pod of a service: use consul',
  },
  {
    what: 'fewest pods above most',
    profile: 'default',
    set: 'services.user.autoscaling.enabled=true,services.user.autoscaling.minReplicas=9',
    says: 'autoscaling.minReplicas of user is above its maxReplicas',
  },
  {
    what: 'a public entry without a host',
    set: 'expose.kind=ingress',
    says: 'expose.host is missing: the public host name, for expose.kind ingress',
  },
  {
    what: 'a route without a Gateway',
    set: 'expose.kind=gateway-api,expose.host=a.example.org',
    says: 'expose.parentRefs is missing: the Gateway that the HTTPRoute belongs to',
  },
  { what: 'inline keys that are not there', set: 'istio.jwt.keys=inline', says: 'istio.jwt.jwks is missing' },
  { what: 'one port for two things', set: 'ports.http=9464', says: 'must be three different numbers' },
  {
    what: 'no address of NATS',
    profile: 'default',
    set: 'events.url=',
    says: 'events.url is missing: nats://host:port',
  },
  {
    what: 'a config centre that is nowhere',
    set: 'configCentre.kind=consul,configCentre.url=',
    says: 'configCentre.url is missing: consul://host:port',
  },
  {
    what: 'no address of Consul',
    profile: 'default',
    set: 'discovery.url=',
    says: 'discovery.url is missing: consul://host:port',
  },
];

describe('wrong values of the chart', () => {
  it.each(wrong)('$what: refused with a sentence', async ({ profile = 'minimal', set, says }) => {
    const { ok, output } = await render('--values', profileValues(profile), '--set', set);
    expect(ok, output).toBe(false);
    expect(output).toContain(says);
  });

  it.each([
    ['istio.enabled needs Istio', 'security.istio.io/v1'],
    ['expose.kind gateway-api needs the Gateway API', 'gateway.networking.k8s.io/v1'],
    ['metrics.monitor serviceMonitor needs the Prometheus operator', 'monitoring.coreos.com/v1'],
  ])('what the cluster lacks is said before anything is made: %s', async (says, group) => {
    const kinds = ['security.istio.io/v1', 'gateway.networking.k8s.io/v1', 'monitoring.coreos.com/v1'];
    // A cluster tells Helm the kinds it has; that is how the chart knows that there is one.
    const has = (groups: readonly string[]) =>
      ['v1/Pod', ...groups].flatMap((one) => ['--api-versions', one]);
    const all = await render('--values', profileValues('istio'), ...has(kinds));
    expect(all.ok, all.output).toBe(true);
    const without = kinds.filter((kind) => kind !== group);
    const { ok, output } = await render('--values', profileValues('istio'), ...has(without));
    expect(ok, output).toBe(false);
    expect(output).toContain(says);
    expect(output).toContain(`this cluster has no ${group}: install that first`);
  });

  it('include a cluster that is too old', async () => {
    const { ok, output } = await render('--values', profileValues('minimal'), '--kube-version', '1.29.4');
    expect(ok).toBe(false);
    expect(output).toContain('chart requires kubeVersion: >=1.30.0-0 which is incompatible');
  });

  it('are all told at once', async () => {
    const { output } = await render(
      '--values',
      profileValues('minimal'),
      '--set',
      'services.agent.replicas=2,expose.kind=ingress,ports.http=9464',
    );
    expect(output.split('\n').filter((line) => line.startsWith('  - '))).toHaveLength(3);
  });

  it('do not include those of a chart above this one', async () => {
    expect(await render('--values', profileValues('minimal'), '--set', 'global.region=eu')).toMatchObject({
      ok: true,
    });
  });
});
