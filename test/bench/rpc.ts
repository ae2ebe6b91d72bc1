/**
 * CPU per small unary call of our RPC layer (trace, deadline, identity, bulkhead and breaker on) beside bare grpc-js,
 * alternating in one run. CPU time, not wall clock: the machine may be busy with other things.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Client, credentials, type MethodDefinition } from '@grpc/grpc-js';
import { syncV1 } from '@skein/contracts';
import { identity, rootContext, rpcClient } from '@skein/rpc';
import { createLogger, createMetrics } from '@skein/telemetry';
import { benchSecret, type PeerMessage, startTracing } from './rpc-shared.ts';

type Kind = 'bare' | 'skein';
type Call = () => Promise<unknown>;

const inFlight = 32;
const warmUpCalls = 20_000;
const callsPerRound = 20_000;
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 7);

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
  const actor = { userId: '0199c2f0-7d3a-7000-8000-0123456789ab', sessionId: 's', scopes: ['chat'] };
  return () => client.getSpace(request, rootContext({ actor, timeoutMs: 10_000 }));
};

const spread = async (call: Call, total: number): Promise<void> => {
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

/** The middle of some numbers, and how far they lie apart. */
const summary = (values: readonly number[]) => {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] ?? 0;
  return { median: at(0.5), low: at(0), high: at(1) };
};

const side = (kind: Kind) => {
  const child = fork(fileURLToPath(import.meta.url), [kind], { execPath: process.execPath });
  const ask = async (message: string): Promise<{ server: number; client: number; calls: number }> => {
    child.send(message);
    const [answered] = (await once(child, 'message')) as [{ server: number; client: number; calls: number }];
    return answered;
  };
  return { round: () => ask('round'), end: () => child.kill() };
};

/** One client process with its server process; each message is one round. */
const worker = async (kind: Kind) => {
  const peer = fork(fileURLToPath(new URL('./rpc-peer.ts', import.meta.url)), [kind]);
  const tell = async (): Promise<PeerMessage> => ((await once(peer, 'message')) as [PeerMessage])[0];
  const { port = 0 } = await tell();
  const call = kind === 'bare' ? bareCall(port) : ourCall(port);
  const serverCpu = async () => {
    peer.send('cpu');
    return micros((await tell()).cpu ?? { user: 0, system: 0 });
  };
  await spread(call, warmUpCalls);
  process.on('message', async () => {
    const [server, client] = [await serverCpu(), micros(process.cpuUsage())];
    await spread(call, callsPerRound);
    const clientUsed = micros(process.cpuUsage()) - client;
    process.send?.({
      server: ((await serverCpu()) - server) / callsPerRound,
      client: clientUsed / callsPerRound,
    });
  });
  process.on('disconnect', () => process.exit(0));
};

const kind = process.argv[2];
if (kind === 'bare' || kind === 'skein') {
  await worker(kind);
} else {
  const sides = { bare: side('bare'), skein: side('skein') };
  const found: Record<Kind, { server: number[]; client: number[] }> = {
    bare: { server: [], client: [] },
    skein: { server: [], client: [] },
  };
  for (let round = 0; round < rounds; round += 1) {
    for (const one of ['bare', 'skein'] as const) {
      const { server, client } = await sides[one].round();
      found[one].server.push(server);
      found[one].client.push(client);
    }
  }
  const ratio = (part: 'server' | 'client') =>
    summary(found.skein[part].map((value, round) => value / (found.bare[part][round] ?? value)));
  const total = summary(
    found.skein.client.map(
      (value, n) =>
        (value + (found.skein.server[n] ?? 0)) / ((found.bare.client[n] ?? 0) + (found.bare.server[n] ?? 0)),
    ),
  );
  const show = ({ median, low, high }: ReturnType<typeof summary>, digits: number) =>
    `${median.toFixed(digits)} (${low.toFixed(digits)}–${high.toFixed(digits)})`;
  const rows = (['server', 'client'] as const).map(
    (part) =>
      `| ${part} | ${show(summary(found.bare[part]), 0)} | ${show(summary(found.skein[part]), 0)} | ${show(ratio(part), 2)} |`,
  );
  process.stdout.write(
    [
      '| CPU µs per call | bare grpc-js | ours | ratio |',
      '|---|---|---|---|',
      ...rows,
      `| both | | | ${show(total, 2)} |`,
      '',
    ].join('\n'),
  );
  for (const one of Object.values(sides)) one.end();
}
