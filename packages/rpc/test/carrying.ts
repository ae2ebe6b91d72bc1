import { syncV1 } from '@skein/contracts';
import { createMetrics } from '@skein/telemetry';
import { expect } from 'vitest';
import {
  type Handlers,
  identity,
  implement,
  type RpcClient,
  type RpcClientOptions,
  type RpcServer,
  type RpcServerOptions,
  rpcClient,
  rpcServer,
} from '../src/index.ts';
import { afterTest, ctx, handlers, readableLog } from './fixture.ts';
import { probeService, secret } from './probe-service.ts';

const wire = syncV1.SyncServiceService.streamMutate;
const path = '/skein.probe.v1.ProbeService/SayMany' as const;

/**
 * The probe service with a stream that carries `say`. Messages of the stream are noted as the server reads them; after
 * `spoil` it cannot read the next.
 */
const streaming = () => {
  const read: number[] = [];
  let spoilt = false;
  const requestDeserialize = (bytes: Buffer) => {
    if (spoilt) {
      spoilt = false;
      throw new Error('spoilt');
    }
    const message = wire.requestDeserialize(bytes);
    if (message.calls.length > 0) read.push(message.calls.length);
    return message;
  };
  const spoil = () => {
    spoilt = true;
  };
  return { service: { ...probeService, sayMany: { ...wire, path, requestDeserialize } }, read, spoil };
};
/** A stream that does not listen to its end. */
const count: Handlers<Service>['count'] = async function* () {
  yield { text: 'open' };
  await new Promise(() => {});
};

type Service = ReturnType<typeof streaming>['service'];

/** A server of it, stopped after the test. */
export const start = async (
  say: Handlers<Service>['say'],
  { allow = ['tester'], ...options }: Partial<RpcServerOptions> & { allow?: readonly string[] } = {},
) => {
  const { service, read, spoil } = streaming();
  const callers = { say: allow, count: 'any', echo: 'any', sayMany: 'any' } as const;
  const server = rpcServer({
    ...{ service: 'probe', host: '127.0.0.1', port: 0, streamGraceMs: 1_000 },
    ...{ log: readableLog().log, metrics: createMetrics(), identity: identity({ service: 'probe', secret }) },
    implementations: [
      implement(service, { ...handlers, count, say }, { allow: callers, carries: { sayMany: 'say' } }),
    ],
    ...options,
  });
  await server.run();
  afterTest(() => server.stop());
  return { server, read, spoil };
};

/** A client of it whose calls of `say` are carried, stopped after the test. */
export const clientOf = (
  { port }: Pick<RpcServer, 'port'>,
  options: Partial<RpcClientOptions<Service>> = {},
): RpcClient<Service> => {
  const client = rpcClient(streaming().service, {
    ...{ service: 'probe', target: `ipv4:127.0.0.1:${port}`, log: readableLog().log },
    ...{ metrics: createMetrics(), identity: identity({ service: 'tester', secret }) },
    carried: { say: 'sayMany' },
    ...options,
  });
  afterTest(() => client.stop());
  return client;
};

/** Calls until calls go over the stream. */
export const open = async (client: RpcClient<Service>, read: readonly number[]): Promise<void> => {
  const before = read.length;
  await expect
    .poll(async () => {
      await client.say({ text: 'open' }, ctx()).catch(() => {});
      return read.length;
    })
    .toBeGreaterThan(before);
};

/** A call as it is written into the stream. */
export const written = (number: number, text: string, more: object = {}) => ({
  ...{ number, authorization: identity({ service: 'tester', secret }).sign(undefined) },
  ...{ traceparent: '', correlationId: '', timeoutMs: 5_000 },
  request: probeService.say.requestSerialize({ text }),
  ...more,
});
