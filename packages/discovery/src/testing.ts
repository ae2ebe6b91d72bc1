import {
  type ChannelOptions,
  Client,
  credentials,
  Metadata,
  type requestCallback,
  Server,
  ServerCredentials,
} from '@grpc/grpc-js';
import type { Service } from '@skein/service-kit';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Discovery, Instance } from './discovery.ts';

/** An adapter to test. */
export interface DiscoveryUnderTest {
  readonly discovery: Discovery;
  readonly stop: () => Promise<void>;
}

/** What an adapter can do beside the common promise. */
export interface DiscoveryFeatures {
  /** Learns of instances that come and go; a fixed list only skips those that are away. */
  readonly dynamic: boolean;
}

const raw = (bytes: Buffer): Buffer => bytes;
const path = '/skein.test.v1.NameService/Name';

/** A gRPC server that answers every call with its own id. */
export const startInstance = async (service: string, id: string, port = 0) => {
  const server = new Server();
  server.register(
    path,
    (_call: unknown, respond: requestCallback<Buffer>) => respond(null, Buffer.from(id)),
    raw,
    raw,
    'unary',
  );
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, given) =>
      error ? reject(error) : resolve(given),
    ),
  );
  const instance: Instance = { service, id, host: '127.0.0.1', port: bound };
  return { instance, kill: () => server.forceShutdown() };
};

const timeoutMs = 10_000;

/** A client of such servers, balanced over all of them; its calls wait for a connection, at most 10 s. */
export const connectTo = (target: string, options: ChannelOptions = {}) => {
  const client = new Client(target, credentials.createInsecure(), {
    'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    'grpc.max_reconnect_backoff_ms': 500,
    // Tests reuse ports: connections must not outlive their test.
    'grpc.use_local_subchannel_pool': 1,
    ...options,
  });
  const call = (): Promise<string> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        path,
        raw,
        raw,
        Buffer.alloc(0),
        new Metadata({ waitForReady: true }),
        { deadline: Date.now() + timeoutMs },
        (error, value) => (error ? reject(error) : resolve(String(value))),
      );
    });
  return { call, client, close: () => client.close() };
};

/**
 * What every discovery promises, proved by calls through gRPC. `make` opens an adapter that knows of the given
 * instances of `echo` by their address only (a fixed list) or not at all yet (a registry).
 */
export const testDiscovery = (
  name: string,
  features: DiscoveryFeatures,
  make: (instances: readonly Instance[]) => Promise<DiscoveryUnderTest>,
): void => {
  describe(`Discovery: ${name}`, () => {
    const cleanups: (() => unknown)[] = [];
    afterEach(async () => {
      for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
    });

    const start = async (id: string, port?: number) => {
      const one = await startInstance('echo', id, port);
      cleanups.push(one.kill);
      return one;
    };
    const open = async (instances: readonly Instance[]): Promise<Discovery> => {
      const { discovery, stop } = await make(instances);
      cleanups.push(stop);
      return discovery;
    };
    const register = async (discovery: Discovery, instance: Instance): Promise<Service> => {
      const part = discovery.register(instance);
      await part.run();
      cleanups.push(() => part.stop());
      return part;
    };
    const connect = (discovery: Discovery) => {
      const { call, close } = connectTo(discovery.target('echo'));
      cleanups.push(close);
      return call;
    };
    const callers = async (call: () => Promise<string>, times = 20): Promise<Set<string>> => {
      const names = new Set<string>();
      for (let n = 0; n < times; n += 1) names.add(await call());
      return names;
    };

    it('leads to the one instance there is', async () => {
      const a = await start('a');
      const discovery = await open([a.instance]);
      await register(discovery, a.instance);
      expect(await connect(discovery)()).toBe('a');
    });

    it('spreads calls over all instances', async () => {
      const [a, b] = [await start('a'), await start('b')];
      const discovery = await open([a.instance, b.instance]);
      await register(discovery, a.instance);
      await register(discovery, b.instance);
      const call = connect(discovery);
      await vi.waitFor(async () => expect(await callers(call)).toEqual(new Set(['a', 'b'])), {
        timeout: timeoutMs,
      });
    });

    it('goes on with the others when an instance dies under calls', async () => {
      const [a, b] = [await start('a'), await start('b')];
      const discovery = await open([a.instance, b.instance]);
      await register(discovery, a.instance);
      await register(discovery, b.instance);
      const call = connect(discovery);
      await vi.waitFor(async () => expect(await callers(call)).toEqual(new Set(['a', 'b'])), {
        timeout: timeoutMs,
      });
      a.kill();
      await vi.waitFor(async () => expect(await callers(call)).toEqual(new Set(['b'])), {
        timeout: timeoutMs,
      });
    });

    it('finds an instance again that comes back at its address', async () => {
      const a = await start('a');
      const discovery = await open([a.instance]);
      await register(discovery, a.instance);
      const call = connect(discovery);
      expect(await call()).toBe('a');
      a.kill();
      await start('a again', a.instance.port);
      await vi.waitFor(async () => expect(await call()).toBe('a again'), { timeout: timeoutMs });
    });

    it('a registration can be drained and stopped, and stopped twice', async () => {
      const a = await start('a');
      const discovery = await open([a.instance]);
      const part = await register(discovery, a.instance);
      await part.drain?.();
      await part.stop();
      await part.stop();
    });

    if (!features.dynamic) {
      it('says which service it does not know', async () => {
        const discovery = await open([]);
        expect(() => discovery.target('nobody')).toThrow('nobody');
      });
      return;
    }

    it('lets calls wait for the first instance', async () => {
      const discovery = await open([]);
      const first = connect(discovery)();
      const a = await start('a');
      await register(discovery, a.instance);
      expect(await first).toBe('a');
    });

    it('stops using an instance that was drained, and starts using a new one, without a failed call', async () => {
      const [a, b] = [await start('a'), await start('b')];
      const discovery = await open([]);
      const partA = await register(discovery, a.instance);
      const call = connect(discovery);
      expect(await callers(call)).toEqual(new Set(['a']));
      await register(discovery, b.instance);
      await vi.waitFor(async () => expect(await callers(call)).toContain('b'), { timeout: timeoutMs });
      await partA.drain?.();
      await vi.waitFor(async () => expect(await callers(call)).toEqual(new Set(['b'])), {
        timeout: timeoutMs,
      });
    });
  });
};
