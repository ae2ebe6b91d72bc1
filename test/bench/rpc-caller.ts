/** The client side of the RPC benchmark, with a server process of its own: every message is one round of calls. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Client, credentials, type MethodDefinition } from '@grpc/grpc-js';
import { syncV1 } from '@skein/contracts';
import { identity, rootContext, rpcClient } from '@skein/rpc';
import { createLogger, createMetrics, withSpan } from '@skein/telemetry';
import { benchSecret, inFlight, type PeerMessage, type Round, startTracing } from './rpc-shared.ts';

type Call = () => Promise<unknown>;

const warmUpCalls = 20_000;
const { getSpace } = syncV1.SyncServiceService;
const request: syncV1.GetSpaceRequest = { space: 'personal' };

const bareCall = (port: number): Call => {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = getSpace as MethodDefinition<unknown, unknown>;
  return () =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, value) =>
        error ? reject(error) : resolve(value),
      );
    });
};

const ourCall = (port: number): Call => {
  startTracing();
  const client = rpcClient(
    { getSpace },
    {
      service: 'session-sync',
      target: `ipv4:127.0.0.1:${port}`,
      identity: identity({ service: 'gateway', secret: benchSecret }),
      log: createLogger({ service: 'bench', instance: 'bench', level: 'silent' }),
      metrics: createMetrics(),
      retryable: ['getSpace'],
    },
  );
  // Many people, as a gateway has them: no two calls in a row carry the same token.
  const actors = Array.from({ length: 200 }, (_, n) => ({
    userId: `0199c2f0-7d3a-7000-8000-${String(n).padStart(12, '0')}`,
    sessionId: `0199c2f0-7d3a-7000-9000-${String(n).padStart(12, '0')}`,
    scopes: ['chat'],
  }));
  let next = 0;
  return () => {
    next = (next + 1) % actors.length;
    return client.getSpace(request, rootContext({ actor: actors[next], timeoutMs: 10_000 }));
  };
};

const many = async (call: Call, total: number): Promise<void> => {
  let left = total;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      await call();
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
};

const micros = ({ user, system }: NodeJS.CpuUsage): number => user + system;

const kind = process.argv[2] ?? 'bare';
const peer = fork(fileURLToPath(new URL('./rpc-peer.ts', import.meta.url)), [kind]);
const told = async (): Promise<PeerMessage> => ((await once(peer, 'message')) as [PeerMessage])[0];
const serverCpu = async (): Promise<number> => {
  peer.send('cpu');
  return micros((await told()).cpu ?? { user: 0, system: 0 });
};

const { port = 0 } = await told();
const call = kind === 'bare' ? bareCall(port) : ourCall(port);
// As in a gateway, where every call belongs to a request that is traced.
const inRequest = (calls: number) => withSpan('request', {}, () => many(call, calls));
await inRequest(warmUpCalls);

process.on('message', async (calls: number) => {
  const [server, client] = [await serverCpu(), micros(process.cpuUsage())];
  await inRequest(calls);
  const clientUs = (micros(process.cpuUsage()) - client) / calls;
  const round: Round = { clientUs, serverUs: ((await serverCpu()) - server) / calls };
  process.send?.(round);
});
process.on('disconnect', () => process.exit(0));
