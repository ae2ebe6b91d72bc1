import { platformConfig } from '@skein/platform';
import type { ConfigSchema, Setting } from '@skein/service-kit';
import type { ChartValue } from './chart-values.ts';
import { services } from './code-edges.ts';

type Json = Readonly<Record<string, unknown>>;

const name = { pattern: '^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$', maxLength: 63 };
const port = { minimum: 1024, maximum: 65_535 };
const seconds = { minimum: 1, maximum: 3_600 };
const peers = { items: { type: 'object' } };
const ports = { items: { type: 'integer', minimum: 1, maximum: 65_535 }, minItems: 1 };
const hostName = '([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)';
/** Labels, annotations and selectors: Kubernetes takes nothing but text, and says so late. */
const texts = { additionalProperties: { type: 'string' } };
const imageTag = { pattern: '^([a-zA-Z0-9_][-.a-zA-Z0-9_]{0,127})?$' };
const imagePath = '[a-z0-9]+([-._/]+[a-z0-9]+)*';
const secretText = { pattern: '^(.{32,})?$' };

/** What a value may be beside the type of its default. */
const limits: Readonly<Record<string, Json>> = {
  fullnameOverride: { ...name, maxLength: 40 },
  commonLabels: texts,
  'image.registry': { pattern: '^([a-zA-Z0-9][-.a-zA-Z0-9]*(:[0-9]+)?(/[-._/a-z0-9]+)?)?$' },
  'image.repository': { pattern: `^${imagePath}$` },
  'image.tag': imageTag,
  'image.pullPolicy': { enum: ['IfNotPresent', 'Always', 'Never'] },
  'image.pullSecrets': { items: { type: 'object', required: ['name'] } },
  'database.url': { pattern: '^(postgres(ql)?://.+)?$' },
  'internalSecret.value': secretText,
  'masterKey.value': secretText,
  'events.kind': { enum: ['nats', 'postgres'] },
  'events.url': { pattern: '^((nats|tls)://.+)?$' },
  'discovery.kind': { enum: ['consul', 'static'] },
  'discovery.url': { pattern: '^(consul://.+)?$' },
  'configCentre.kind': { enum: ['none', 'consul'] },
  'configCentre.url': { pattern: '^(consul://.+)?$' },
  clusterDomain: { pattern: `^${hostName}$` },
  bindAddress: { enum: ['0.0.0.0', '::'] },
  issuer: { minLength: 1 },
  otlpEndpoint: { pattern: '^(https?://.+)?$' },
  'ports.grpc': port,
  'ports.management': port,
  'ports.http': port,
  'defaults.replicas': { minimum: 1, maximum: 500 },
  'defaults.surgePercent': { minimum: 1, maximum: 100 },
  'defaults.image.repository': { pattern: `^([a-zA-Z0-9][-.a-zA-Z0-9]*(:[0-9]+)?/)?(${imagePath})?$` },
  'defaults.image.tag': imageTag,
  'defaults.image.digest': { pattern: '^(sha256:[0-9a-f]{64})?$' },
  'defaults.extraEnv': { items: { type: 'object', required: ['name'] } },
  'defaults.podAnnotations': texts,
  'defaults.podLabels': texts,
  'defaults.serviceAccountAnnotations': texts,
  'defaults.nodeSelector': texts,
  'defaults.autoscaling.minReplicas': { minimum: 1 },
  'defaults.autoscaling.maxReplicas': { minimum: 1 },
  'defaults.autoscaling.targetCPUPercent': { minimum: 10, maximum: 100 },
  'defaults.autoscaling.metrics': { items: { type: 'object', required: ['type'] } },
  'rollout.endpointSeconds': { minimum: 0, maximum: 600 },
  'rollout.drainSeconds': { minimum: 12, maximum: 600 },
  'rollout.startSeconds': { minimum: 10, maximum: 3_600 },
  'spread.whenUnsatisfiable': { enum: ['ScheduleAnyway', 'DoNotSchedule'] },
  'disruptionBudget.maxUnavailable': { minimum: 1 },
  'expose.kind': { enum: ['none', 'ingress', 'gateway-api'] },
  'expose.host': { pattern: `^${hostName}?$` },
  'expose.annotations': texts,
  'expose.proxies': { maximum: 8 },
  'expose.idleSeconds': { minimum: 60, maximum: 86_400 },
  'expose.parentRefs': { items: { type: 'object', required: ['name'] } },
  'networkPolicy.gatewayFrom': peers,
  'networkPolicy.dns': { ...peers, minItems: 1 },
  'networkPolicy.database.to': peers,
  'networkPolicy.database.ports': ports,
  'networkPolicy.events.to': peers,
  'networkPolicy.events.ports': ports,
  'networkPolicy.discovery.to': peers,
  'networkPolicy.discovery.ports': ports,
  'networkPolicy.telemetry.to': peers,
  'networkPolicy.telemetry.ports': ports,
  'networkPolicy.model.to': peers,
  'networkPolicy.model.ports': ports,
  'networkPolicy.mail.to': peers,
  'networkPolicy.mail.ports': ports,
  'networkPolicy.metricsFrom': peers,
  'networkPolicy.istiod': { ...peers, minItems: 1 },
  'istio.trustDomain': { minLength: 1 },
  'istio.balancing': { enum: ['client', 'sidecar'] },
  'istio.ingressPrincipals': { items: { type: 'string', pattern: '^[^/]+/ns/[^/]+/sa/[^/]+$' } },
  'istio.platformHosts': { items: { type: 'string', pattern: '^[^/]+/.+$' } },
  'istio.externalServices': {
    items: {
      type: 'object',
      additionalProperties: false,
      required: ['name', 'hosts', 'ports'],
      properties: {
        name: { type: 'string', ...name },
        services: { type: 'array', items: { enum: Object.keys(services) } },
        hosts: { type: 'array', minItems: 1, items: { type: 'string' } },
        ports: {
          type: 'array',
          minItems: 1,
          items: {
            type: 'object',
            additionalProperties: false,
            required: ['number', 'protocol'],
            properties: {
              number: { type: 'integer', minimum: 1, maximum: 65_535 },
              protocol: { enum: ['HTTP', 'HTTPS', 'GRPC', 'TCP', 'TLS'] },
            },
          },
        },
      },
    },
  },
  'istio.jwt.keys': { enum: ['off', 'envoy', 'inline'] },
  'istio.telemetry.samplingPercent': { type: 'number', minimum: 0, maximum: 100 },
  'metrics.monitor': { enum: ['none', 'podMonitor', 'serviceMonitor'] },
  'metrics.labels': texts,
  'metrics.interval': { pattern: '^[0-9]+(s|m)$' },
  'metrics.runbooks': { pattern: '^(https?://.+)?$' },
  'metrics.dashboards.labels': { minProperties: 1 },
  'check.seconds': seconds,
  'test.seconds': seconds,
  extraObjects: { items: { type: 'object' } },
};

/** Settings of the services that the chart decides: they follow from other values, or come from Secrets. */
const ofTheChart = new Set([
  ...Object.keys(platformConfig).filter((one) => one !== 'LOG_LEVEL' && one !== 'DATABASE_POOL_SIZE'),
  ...['AUTH_ISSUER', 'AUTH_MASTER_KEY', 'AGENT_MODEL_KEY', 'CONSOLE_DIR'],
  ...['HOST', 'PORT', 'PUBLIC_URL', 'TRUST_PROXY', 'BEHIND_TLS'],
]);

const settingSchema = ({ kind, help, fallback }: Setting<unknown>): Json => {
  const options = kind.split('|');
  if (typeof fallback === 'number') return { type: 'integer', minimum: 0, description: help };
  if (typeof fallback === 'boolean') return { type: 'boolean', description: help };
  return options.length > 1 ? { enum: options, description: help } : { type: 'string', description: help };
};

const object = (properties: Json, about?: string): Json => ({
  type: 'object',
  additionalProperties: false,
  properties,
  ...(about ? { description: about } : {}),
});

const settings = (schema: ConfigSchema): Json =>
  object(
    Object.fromEntries(
      Object.entries(schema)
        .filter(([one]) => !ofTheChart.has(one))
        .map(([one, setting]) => [one, settingSchema(setting)]),
    ),
  );

const typeOf = (value: unknown): string => {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'number' ? 'integer' : typeof value;
};

const valueSchema = ({ path, fallback, about }: ChartValue): Json => {
  const type = typeOf(fallback);
  return {
    type,
    ...(type === 'integer' ? { minimum: 0 } : {}),
    ...(path.endsWith('existingSecret') ? { pattern: '^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$' } : {}),
    ...(/\.(directKey|alsoKey)$/.test(path) ? { pattern: '^[-._a-zA-Z0-9]*$' } : {}),
    ...(path.endsWith('.key') ? { pattern: '^[-._a-zA-Z0-9]+$' } : {}),
    ...limits[path],
    description: about,
  };
};

interface Tree {
  [key: string]: Tree | ChartValue;
}
const isValue = (node: Tree | ChartValue): node is ChartValue => typeof node['path'] === 'string';

const treeSchema = (node: Tree | ChartValue): Json =>
  isValue(node)
    ? valueSchema(node)
    : object(Object.fromEntries(Object.entries(node).map(([key, one]) => [key, treeSchema(one)])));

const treeOf = (values: readonly ChartValue[]): Tree => {
  const tree: Tree = {};
  for (const value of values) {
    const keys = value.path.split('.');
    const last = keys.pop() ?? '';
    let at = tree;
    for (const key of keys) {
      at[key] ??= {};
      at = at[key] as Tree;
    }
    at[last] = value;
  }
  return tree;
};

/** `values.schema.json`: the values of values.yaml and no others, and the settings that each service knows. */
export const valuesSchema = (values: readonly ChartValue[]): Json => {
  const { properties } = treeSchema(treeOf(values)) as { properties: Record<string, Json> };
  const { defaults, ...others } = properties;
  const common = (defaults as { properties: Json }).properties;
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    $comment: 'Made from values.yaml and the config.ts of the services by test/mesh/update.ts. Do not edit.',
    ...object({
      // Helm gives it to every chart that is part of another.
      global: { type: 'object' },
      ...others,
      defaults: object({ ...common, config: settings(platformConfig) }),
      services: object(
        Object.fromEntries(
          Object.entries(services).map(([one, { schema }]) => [
            one,
            object({ ...common, config: settings(schema) }),
          ]),
        ),
        'What is different for one service',
      ),
    }),
  };
};
