import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { startNats } from '@skein/components';
import { loginEvent, testEventBus } from '@skein/events/testing';
import { createLogger } from '@skein/telemetry';
import { describe, expect, it, onTestFinished } from 'vitest';
import { socketOf } from '../src/guard-socket.ts';
import { jetStreamBus, natsLink, natsLiveBus } from '../src/index.ts';

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
const waitMs = 20_000;

const server = async () => {
  const nats = await startNats();
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
    const store = await bus.storeId();
    await bus.publish([before]);
    await expect.poll(() => got, { timeout: waitMs }).toEqual([before.id]);

    await nats.kill();
    await rm(nats.storeDir, { recursive: true });
    const again = await startNats({ ports: nats.ports });
    onTestFinished(() => again.stop());
    await expect.poll(() => bus.storeId().catch(() => store), { timeout: waitMs }).not.toBe(store);
    const after = loginEvent('u1', 2);
    await bus.publish([after]);
    await expect.poll(() => got, { timeout: waitMs }).toEqual([before.id, after.id]);
  });

  it('starts without a server, says so at once when asked to publish, and works when the server comes', async () => {
    const nats = await server();
    await nats.kill();
    const bus = jetStreamBus({ link: await connected(nats.url), log });
    await expect(bus.publish([loginEvent('u1')])).rejects.toMatchObject({ code: 'unavailable' });
    const again = await startNats({ ports: nats.ports });
    onTestFinished(() => again.stop());
    await expect.poll(() => bus.storeId().catch(() => ''), { timeout: waitMs }).not.toBe('');
    await bus.publish([loginEvent('u1')]);
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

  it('drops what is published while the server is away', async () => {
    const nats = await server();
    const bus = natsLiveBus({ link: await connected(nats.url), log });
    await bus.run();
    onTestFinished(() => bus.stop());
    await nats.kill();
    expect(() => bus.publish('skein.live.test', Buffer.from('lost'))).not.toThrow();
  });
});
