import { describe, expect, it } from 'vitest';
import { type Surroundings, serviceEnv } from '../src/service-env.ts';

const around: Surroundings = {
  port: 8002,
  grpcPort: 8100,
  managementPort: 9464,
  env: {},
  instances: 2,
  dataDir: '/data',
  consoleDir: '/console',
  secrets: { internalSecret: 'internal', authMasterKey: 'master', demoEmail: 'd@x', demoPassword: 'demo' },
  databaseUrl: 'postgres://here/skein',
  discoveryUrl: undefined,
  eventsUrl: 'postgres:',
  traces: undefined,
};

describe('the environment of a service', () => {
  it('says where it listens and how it finds the others', () => {
    expect(serviceEnv(around, 'user', 1, 'user.2')).toEqual({
      NODE_COMPILE_CACHE: '/data/compile-cache',
      INSTANCE_ID: 'user.2',
      CONFIG_URL: 'file:///data/config.yaml',
      DATABASE_URL: 'postgres://here/skein',
      DISCOVERY_URL:
        'static:auth=127.0.0.1:8101;127.0.0.1:8111,user=127.0.0.1:8102;127.0.0.1:8112,session-sync=127.0.0.1:8103;127.0.0.1:8113,agent=127.0.0.1:8104;127.0.0.1:8114',
      EVENTS_URL: 'postgres:',
      OTEL_EXPORTER_OTLP_ENDPOINT: '',
      INTERNAL_SECRET: 'internal',
      GRPC_HOST: '127.0.0.1',
      GRPC_PORT: '8112',
      MANAGEMENT_HOST: '127.0.0.1',
      MANAGEMENT_PORT: '9476',
    });
  });

  it('has the public address for gateways only', () => {
    expect(serviceEnv(around, 'gateway', 1, 'gateway.2')).toMatchObject({
      HOST: '127.0.0.1',
      PORT: '8012',
      CONSOLE_DIR: '/console',
    });
  });

  it('passes on what the person set, but not past what the launcher decides', () => {
    const env = {
      DATABASE_POOL_SIZE: 'abc',
      LOG_LEVEL: 'debug',
      GRPC_PORT: '1',
      PORT: '1',
      npm_config_x: 'y',
    };
    const service = serviceEnv({ ...around, env }, 'gateway', 0, 'gateway');
    expect(service).toMatchObject({
      DATABASE_POOL_SIZE: 'abc',
      LOG_LEVEL: 'debug',
      GRPC_PORT: '8100',
      PORT: '8002',
    });
    expect(service).not.toHaveProperty('npm_config_x');
  });

  it('keeps the master key to auth and the key of the model to the agent', () => {
    const env = { AGENT_MODEL_KEY: 'model key', AUTH_MASTER_KEY: 'own master' };
    const who = (value: string) =>
      (['gateway', 'auth', 'user', 'session-sync', 'agent'] as const).filter((name) =>
        Object.values(serviceEnv({ ...around, env }, name, 0, name)).includes(value),
      );
    expect(who('model key')).toEqual(['agent']);
    expect(who('own master')).toEqual(['auth']);
    expect(serviceEnv(around, 'auth', 0, 'auth')['AUTH_MASTER_KEY']).toBe('master');
  });

  it('keeps the database from the gateway, which has nothing in it', () => {
    const env = { DATABASE_URL: 'postgres://own/skein' };
    for (const given of [around, { ...around, env }]) {
      expect(serviceEnv(given, 'gateway', 0, 'gateway')).not.toHaveProperty('DATABASE_URL');
      expect(serviceEnv(given, 'agent', 0, 'agent')['DATABASE_URL']).toBe('postgres://here/skein');
    }
  });

  it('sends traces as JSON to the sink of the launcher, and as it is configured elsewhere', () => {
    const sink = serviceEnv({ ...around, traces: { url: 'http://sink', json: true } }, 'auth', 0, 'auth');
    expect(sink).toMatchObject({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://sink',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    });
    const other = serviceEnv({ ...around, traces: { url: 'http://o', json: false } }, 'auth', 0, 'auth');
    expect(other).not.toHaveProperty('OTEL_EXPORTER_OTLP_PROTOCOL');
  });
});
