import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { jetstreamManager } from '@nats-io/jetstream';
import { type NatsOptions, startNats } from '@skein/components';
import type { EventBus } from '@skein/events';
import { loginEvent, testEventBus } from '@skein/events/testing';
import { createLogger, createMetrics } from '@skein/telemetry';
import { describe, expect, it, onTestFinished } from 'vitest';
import { socketOf } from '../src/guard-socket.ts';
import { jetStreamBus, natsLink, natsLiveBus } from '../src/index.ts';

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
const waitMs = 20_000;

const server = async (options: NatsOptions = {}) => {
  const nats = await startNats(options);
  onTestFinished(() => nats.stop());
  return nats;
};

const connected = async (url: string) => {
  const link = natsLink({ url, name: 'test', log });
  await link.run();
  onTestFinished(() => link.stop());
  return link;
};

testEventBus('JetStream', async () => {
  const nats = await server();
  return {
    bus: jetStreamBus({ link: await connected(nats.url), log }),
    replica: async () => jetStreamBus({ link: await connected(nats.url), log }),
  };
});

describe('JetStream', () => {
  it('makes its stream again after the server came back without its store, and consumers go on', async () => {
    const nats = await server();
    const bus = jetStreamBus({ link: await connected(nats.url), log });
    const got: string[] = [];
    const part = bus.subscribe({
      consumer: randomUUID(),
      types: ['user.login'],
      handle: async (event) => void got.push(event.id),
    });
    await part.run();
    onTestFinished(() => part.stop());
    const before = loginEvent('u1');
    const { id: store } = await bus.store();
    await bus.publish([before]);
    await expect.poll(() => got, { timeout: waitMs }).toEqual([before.id]);

    await nats.kill();
    await rm(nats.storeDir, { recursive: true });
    const again = await startNats({ ports: nats.ports });
    onTestFinished(() => again.stop());
    await expect
      .poll(
        () =>
          bus
            .store()
            .then(({ id }) => id)
            .catch(() => store),
        { timeout: waitMs },
      )
      .not.toBe(store);
    const after = loginEvent('u1', 2);
    await bus.publish([after]);
    await expect.poll(() => got, { timeout: waitMs }).toEqual([before.id, after.id]);
  });

  it('says that the server was started anew, and keeps what it has stored', async () => {
    const nats = await server();
    const bus = jetStreamBus({ link: await connected(nats.url), log });
    const event = loginEvent('u1');
    await bus.publish([event]);
    const before = await bus.store();
    await nats.kill();
    const again = await startNats({ ports: nats.ports, storeDir: nats.storeDir });
    onTestFinished(() => again.stop());
    const now = () => bus.store().catch(() => before);
    await expect.poll(async () => (await now()).boot, { timeout: waitMs }).not.toBe(before.boot);
    expect((await now()).id).toBe(before.id);
    expect((await bus.newest(['user.login']))?.event.id).toBe(event.id);
  });

  it('puts away what is no domain event, and goes on with those behind it', async () => {
    const nats = await server();
    const link = await connected(nats.url);
    const bus = jetStreamBus({ link, log });
    await bus.store();
    link.get().publish('skein.events.user.login.u1', 'no JSON');
    link.get().publish('skein.events.user.login.u1', '{"specversion":"1.0"}');
    await link.get().flush();
    const got: string[] = [];
    const part = bus.subscribe({
      consumer: randomUUID(),
      types: ['user.login'],
      handle: async (event) => void got.push(event.id),
    });
    await part.run();
    onTestFinished(() => part.stop());
    expect(await bus.newest(['user.login'])).toBeUndefined();
    const event = loginEvent('u1');
    const { mark } = await bus.publish([event]);
    await expect.poll(() => got, { timeout: waitMs }).toEqual([event.id]);
    // Both are done with: they will not come again.
    await expect.poll(() => bus.handled(['user.login']), { timeout: waitMs }).toBe(mark);
  });

  it('notices that its consumer vanished from the server, makes it again and goes on', async () => {
    const nats = await server();
    const link = await connected(nats.url);
    const bus = jetStreamBus({ link, log });
    const consumer = randomUUID();
    const got: string[] = [];
    const part = bus.subscribe({
      consumer,
      types: ['user.login'],
      handle: async (event) => void got.push(event.id),
    });
    await part.run();
    onTestFinished(() => part.stop());
    const before = loginEvent('u1');
    await bus.publish([before]);
    await expect.poll(() => got, { timeout: waitMs }).toEqual([before.id]);
    await (await jetstreamManager(link.get())).consumers.delete('SKEIN_EVENTS', consumer);
    const after = loginEvent('u1', 2);
    await bus.publish([after]);
    // A new consumer begins with the oldest event: effects stay single by the inbox.
    await expect.poll(() => got, { timeout: waitMs }).toEqual([before.id, before.id, after.id]);
  });

  it('leaves to other replicas what one cannot handle', async () => {
    const nats = await server();
    const consumer = randomUUID();
    const listen = async (handle: Parameters<EventBus['subscribe']>[0]['handle']) => {
      const bus = jetStreamBus({ link: await connected(nats.url), log });
      const part = bus.subscribe({
        ...{ consumer, types: ['user.login'], handle },
        ...{ backoffMs: [10], maxDeliver: 2 },
      });
      await part.run();
      onTestFinished(() => part.stop());
      return bus;
    };
    // More than a consumer has in hand: all that is with a replica that is cut off from its database.
    const events = Array.from({ length: 300 }, (_, at) => loginEvent(`u${at}`, at));
    const tried = new Set<string>();
    const bus = await listen(async ({ id }) => {
      tried.add(id);
      throw new Error('the database is away');
    });
    await bus.publish(events);
    await expect.poll(() => tried.size, { timeout: waitMs }).toBe(256);
    const got = new Set<string>();
    await listen(async ({ id }) => void got.add(id));
    await expect.poll(() => got.size, { timeout: 2 * waitMs }).toBe(events.length);
  }, 60_000);

  it('keeps the order of a subject over an outage with more events than it has in hand', async () => {
    const nats = await server();
    const bus = jetStreamBus({ link: await connected(nats.url), log });
    let failures = 0;
    const got: number[] = [];
    const part = bus.subscribe({
      consumer: randomUUID(),
      types: ['user.login'],
      handle: async ({ data }) => {
        // Given back three times.
        if (failures++ < 6) throw new Error('the database is away');
        got.push((data as { at: number }).at);
      },
      ...{ backoffMs: [10], maxDeliver: 2 },
    });
    const all = Array.from({ length: 300 }, (_, at) => at);
    await bus.publish(all.map((at) => loginEvent('same', at)));
    await part.run();
    onTestFinished(() => part.stop());
    await expect.poll(() => got.length, { timeout: waitMs }).toBe(all.length);
    expect(got).toEqual(all);
  }, 30_000);

  it('puts what was given back before what comes meanwhile', async () => {
    const nats = await server();
    const bus = jetStreamBus({ link: await connected(nats.url), log });
    const failed = Promise.withResolvers<void>();
    let failures = 0;
    const got: number[] = [];
    const part = bus.subscribe({
      consumer: randomUUID(),
      types: ['user.login'],
      handle: async ({ data }) => {
        if (failures++ === 0) {
          failed.resolve();
          throw new Error('the database is away');
        }
        got.push((data as { at: number }).at);
      },
      // Given back at once, for a time in which the third one comes.
      ...{ backoffMs: [1_000], maxDeliver: 1 },
    });
    await bus.publish([loginEvent('same', 1), loginEvent('same', 2)]);
    await part.run();
    onTestFinished(() => part.stop());
    await failed.promise;
    await bus.publish([loginEvent('same', 3)]);
    await expect.poll(() => got, { timeout: waitMs }).toEqual([1, 2, 3]);
  });

  it('tells how far all consumers of a type are', async () => {
    const nats = await server();
    const bus = jetStreamBus({ link: await connected(nats.url), log });
    await bus.store();
    expect(await bus.handled(['user.login'])).toBeUndefined();
    const held = Promise.withResolvers<void>();
    for (const handle of [async () => {}, () => held.promise]) {
      const part = bus.subscribe({ consumer: randomUUID(), types: ['user.login'], handle });
      await part.run();
      onTestFinished(() => part.stop());
    }
    await expect.poll(() => bus.handled(['user.login']), { timeout: waitMs }).toBe(0);
    const { mark } = await bus.publish([loginEvent('u1')]);
    expect(await bus.handled(['user.login'])).toBeLessThan(mark);
    expect(await bus.handled(['message.created'])).toBeUndefined();
    held.resolve();
    await expect.poll(() => bus.handled(['user.login']), { timeout: waitMs }).toBe(mark);
  });

  it('starts without a server, says so at once when asked to publish, and works when the server comes', async () => {
    const nats = await server();
    await nats.kill();
    const bus = jetStreamBus({ link: await connected(nats.url), log });
    await expect(bus.publish([loginEvent('u1')])).rejects.toMatchObject({ code: 'unavailable' });
    const again = await startNats({ ports: nats.ports });
    onTestFinished(() => again.stop());
    await expect
      .poll(
        () =>
          bus
            .store()
            .then(({ id }) => id)
            .catch(() => ''),
        { timeout: waitMs },
      )
      .not.toBe('');
    await bus.publish([loginEvent('u1')]);
  });
});

describe('a server that asks who is there', () => {
  const withCredentials = ({ url }: { readonly url: string }, credentials: string) =>
    url.replace('nats://', `nats://${credentials}@`);

  it.each([
    ['a user with a password', 'authorization { user: skein, password: "p@ss:word" }', 'skein:p%40ss%3Aword'],
    ['a token', 'authorization { token: "s3cr3t-token" }', 's3cr3t-token'],
  ])('lets in %s of the URL, and nobody else', async (_, configuration, credentials) => {
    const nats = await server({ configuration });
    const bus = jetStreamBus({ link: await connected(withCredentials(nats, credentials)), log });
    await bus.publish([loginEvent('u1')]);
    for (const url of [nats.url, withCredentials(nats, 'wrong:wrong')]) {
      const link = await connected(url);
      const refused = await link.ready(AbortSignal.timeout(waitMs)).catch((error: unknown) => String(error));
      expect(refused).toMatch(/authorization violation/i);
    }
  });

  it.each([
    ['begins the TLS handshake', 'which offers it', true, 22],
    ['hangs up without a word', 'which does not', false, 'left'],
  ])('%s on a tls: server %s', async (_, __, offered, expected) => {
    // The first byte of a TLS record is 22; CONNECT in clear text would begin with a C.
    const heard = Promise.withResolvers<number | string | undefined>();
    const listener = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', ([byte]) => heard.resolve(byte));
      socket.once('close', () => heard.resolve('left'));
      const info = { server_id: 'x', version: '2.14.0', proto: 1, max_payload: 1_048_576 };
      socket.write(`INFO ${JSON.stringify({ ...info, tls_available: offered })}\r\n`);
    });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void listener.close());
    const { port } = listener.address() as AddressInfo;
    const link = natsLink({ url: `tls://127.0.0.1:${port}`, name: 'test', log });
    onTestFinished(() => link.stop());
    const started = link.run();
    expect(await heard.promise).toBe(expected);
    await started;
  });
});

describe('live bus', () => {
  it('reaches other replicas and not the one that publishes', async () => {
    const nats = await server();
    const buses = await Promise.all(
      [1, 2].map(async () => {
        const bus = natsLiveBus({ link: await connected(nats.url), log });
        await bus.run();
        onTestFinished(() => bus.stop());
        const got: string[] = [];
        bus.subscribe('skein.live.test', (payload) => got.push(Buffer.from(payload).toString()));
        return { bus, got };
      }),
    );
    const [one, two] = buses;
    // At most once: what is sent before the other's subscription stands is lost, so it is said until heard.
    await expect
      .poll(
        () => {
          one?.bus.publish('skein.live.test', Buffer.from('hello'));
          return two?.got[0];
        },
        { timeout: waitMs },
      )
      .toBe('hello');
    expect(one?.got).toEqual([]);
  });

  it('begins after an outage what was subscribed to in it', async () => {
    const nats = await server();
    const [one, two] = await Promise.all(
      [1, 2].map(async () => {
        const bus = natsLiveBus({ link: await connected(nats.url), log });
        await bus.run();
        onTestFinished(() => bus.stop());
        return bus;
      }),
    );
    const before: string[] = [];
    two?.subscribe('skein.live.before', (payload) => before.push(Buffer.from(payload).toString()));
    const hear = (subject: string, heard: string[]) =>
      expect
        .poll(
          () => {
            one?.publish(subject, Buffer.from('hello'));
            return heard[0];
          },
          { timeout: waitMs },
        )
        .toBe('hello');
    await hear('skein.live.before', before);
    await nats.kill();
    const during: string[] = [];
    two?.subscribe('skein.live.during', (payload) => during.push(Buffer.from(payload).toString()));
    const again = await startNats({ ports: nats.ports });
    onTestFinished(() => again.stop());
    await hear('skein.live.during', during);
  });

  it('survives a write that fails on a socket the client has given up', async () => {
    const nats = await server();
    const link = await connected(nats.url);
    const socket = socketOf(link.get());
    expect(socket).toBeDefined();
    socket?.removeAllListeners();
    expect(() => socket?.emit('error', new Error('write after end'))).not.toThrow();
  });

  it('says whether there is a connection', async () => {
    const nats = await server();
    const metrics = createMetrics();
    const link = natsLink({ url: nats.url, name: 'test', log, metrics });
    expect(metrics.print()).toContain('skein_nats_up 0\n');
    await link.run();
    onTestFinished(() => link.stop());
    expect(metrics.print()).toContain('skein_nats_up 1\n');
    await nats.kill();
    await expect.poll(() => metrics.print(), { timeout: waitMs }).toContain('skein_nats_up 0\n');
    const again = await startNats({ ports: nats.ports });
    onTestFinished(() => again.stop());
    await expect.poll(() => metrics.print(), { timeout: waitMs }).toContain('skein_nats_up 1\n');
  });

  it('drops what is published while the server is away', async () => {
    const nats = await server();
    const bus = natsLiveBus({ link: await connected(nats.url), log });
    await bus.run();
    onTestFinished(() => bus.stop());
    await nats.kill();
    expect(() => bus.publish('skein.live.test', Buffer.from('lost'))).not.toThrow();
  });
});
