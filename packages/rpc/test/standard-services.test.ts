import { Client, credentials } from '@grpc/grpc-js';
import { loadFileDescriptorSetFromBuffer } from '@grpc/proto-loader';
import { userV1 } from '@skein/contracts';
import { expect, test } from 'vitest';
import { implement } from '../src/index.ts';
import { afterTest, startServer } from './fixture.ts';

/** A field of bytes or text with a number below 16 and less than 128 bytes, as protobuf writes it. */
const field = (number: number, value: string | Buffer): Buffer => {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
};
const raw = (bytes: Buffer): Buffer => bytes;

const connect = (port: number): Client => {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  afterTest(async () => client.close());
  return client;
};

const health = (port: number, service: string): Promise<number> =>
  new Promise((resolve, reject) => {
    connect(port).makeUnaryRequest(
      '/grpc.health.v1.Health/Check',
      raw,
      raw,
      service === '' ? Buffer.alloc(0) : field(1, service),
      (error, answer) => (error ? reject(error) : resolve(answer?.[1] ?? 0)),
    );
  });

const reflect = (port: number, version: string, request: Buffer): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const call = connect(port).makeBidiStreamRequest(
      `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
      raw,
      raw,
    );
    call.on('data', resolve);
    call.on('error', reject);
    call.write(request);
    call.end();
  });

test('health answers SERVING for the server and each service, without an identity, and NOT_SERVING when it drains', async () => {
  const server = await startServer();
  expect(await health(server.port, '')).toBe(1);
  expect(await health(server.port, 'skein.probe.v1.ProbeService')).toBe(1);
  await expect(health(server.port, 'nobody')).rejects.toMatchObject({ code: 5 });
  server.notServing();
  expect(await health(server.port, '')).toBe(2);
  expect(await health(server.port, 'skein.probe.v1.ProbeService')).toBe(2);
});

test.each(['v1', 'v1alpha'])('reflection %s lists what is served here, and describes it', async (version) => {
  const nothing = async () => {
    throw new Error('only looked at');
  };
  const user = implement(
    userV1.UserServiceService,
    {
      getProfile: nothing,
      updateProfile: nothing,
      listNotices: nothing,
      eraseMe: nothing,
      eraseUser: nothing,
    },
    { allow: 'any' },
  );
  const { port } = await startServer({}, { implementations: [user] });
  const list = (await reflect(port, version, field(7, ''))).toString();
  expect(list).toContain('skein.user.v1.UserService');
  expect(list).toContain('grpc.health.v1.Health');
  expect(list).not.toContain('skein.auth.v1.AuthService');
  const described = await reflect(port, version, field(4, 'skein.user.v1.UserService'));
  expect(described.toString()).toContain('ListNotices');
  const health = await reflect(port, version, field(4, 'grpc.health.v1.Health'));
  expect(health.toString()).toContain('HealthCheckRequest');
});

test('a watcher of the health is told when the server drains, and does not keep it from shutting down', async () => {
  const server = await startServer();
  const statuses: (number | undefined)[] = [];
  const path = '/grpc.health.v1.Health/Watch';
  const call = connect(server.port).makeServerStreamRequest(path, raw, raw, Buffer.alloc(0));
  const ended = new Promise((resolve) => call.on('end', resolve));
  call.on('data', (bytes: Buffer) => statuses.push(bytes[1]));
  await expect.poll(() => statuses).toEqual([1]);
  await server.drain?.();
  await ended;
  expect(statuses).toEqual([1, 2]);
});

test('the descriptor set is one that other tools can read', async () => {
  const { descriptorSetBase64 } = await import('@skein/contracts/descriptor');
  const definition = loadFileDescriptorSetFromBuffer(Buffer.from(descriptorSetBase64, 'base64'));
  expect(Object.keys(definition)).toContain('skein.sync.v1.SyncService');
});
