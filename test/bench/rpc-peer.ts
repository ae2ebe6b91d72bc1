/** The server side of the RPC benchmark, in a process of its own: `bare` or `skein`. Reports its CPU time when asked. */
import { type MethodDefinition, Server, ServerCredentials } from '@grpc/grpc-js';
import { syncV1 } from '@skein/contracts';
import { type Handlers, identity, implement, rpcServer } from '@skein/rpc';
import { createLogger, createMetrics } from '@skein/telemetry';
import { answer, benchSecret, type PeerMessage, startTracing } from './rpc-shared.ts';

const { getSpace } = syncV1.SyncServiceService;

const bare = (): Promise<number> => {
  const server = new Server();
  server.register(
    getSpace.path,
    (_call: unknown, respond: (error: null, value: syncV1.GetSpaceResponse) => void) => respond(null, answer),
    (getSpace as MethodDefinition<unknown, unknown>).responseSerialize,
    (getSpace as MethodDefinition<unknown, unknown>).requestDeserialize,
    'unary',
  );
  return new Promise((resolve) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_, port) => resolve(port)),
  );
};

const ours = async (): Promise<number> => {
  startTracing();
  const handlers: Handlers<{ getSpace: typeof getSpace }> = { getSpace: async () => answer };
  const server = rpcServer({
    service: 'session-sync',
    host: '127.0.0.1',
    port: 0,
    identity: identity({ service: 'session-sync', secret: benchSecret }),
    log: createLogger({ service: 'bench', instance: 'bench', level: 'silent' }),
    metrics: createMetrics(),
    implementations: [implement({ getSpace }, handlers, { allow: 'any' })],
  });
  await server.run();
  return server.port;
};

const send = (message: PeerMessage) => process.send?.(message);

process.on('message', () => send({ cpu: process.cpuUsage() }));
process.on('disconnect', () => process.exit(0));
send({ port: await (process.argv[2] === 'bare' ? bare() : ours()) });
