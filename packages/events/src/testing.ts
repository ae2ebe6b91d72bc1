import { randomUUID } from 'node:crypto';
import type { DomainEvent } from '@skein/contracts';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { EventBus } from './bus.ts';

/** A bus to test, and the way to lose what it stored (undefined where that cannot happen). */
export interface BusUnderTest {
  readonly bus: EventBus;
  /** A second replica of the same service on the same store. */
  readonly replica: () => Promise<EventBus>;
  readonly loseStore?: () => Promise<void>;
}

/** An event of the catalogue with an id of its own, for tests. */
export const loginEvent = (subject: string, at = 1): DomainEvent<'user.login'> => ({
  id: randomUUID(),
  type: 'user.login',
  source: 'auth',
  time: 1_700_000_000_000,
  subject,
  data: { userId: subject, sessionId: 's', platform: 'web', at, unusual: false },
  correlationId: randomUUID(),
  schemaVersion: 1,
});

/** One of another type about the same user. */
const registeredEvent = (subject: string): DomainEvent<'user.registered'> => ({
  ...loginEvent(subject),
  type: 'user.registered',
  data: { userId: subject, registeredAt: 1_700_000_000_000 },
});

const waitMs = 20_000;

/** Every bus passes this before a service may use it. `make` gives a running bus with an empty store. */
export const testEventBus = (name: string, make: () => Promise<BusUnderTest>): void => {
  describe(`EventBus: ${name}`, () => {
    const listening = async (
      bus: EventBus,
      handle: Parameters<EventBus['subscribe']>[0]['handle'],
      consumer: string = randomUUID(),
      ackWaitMs = 5_000,
    ) => {
      const part = bus.subscribe({
        ...{ consumer, types: ['user.registered', 'user.login'], handle },
        ...{ backoffMs: [10], ackWaitMs, maxDeliver: 3 },
      });
      await part.run();
      onTestFinished(() => part.stop());
      return part;
    };

    it('delivers what was published to every consumer', async () => {
      const { bus } = await make();
      const first: string[] = [];
      const second: string[] = [];
      await listening(bus, async (event) => void first.push(event.id));
      await listening(bus, async (event) => void second.push(event.id));
      const events = [loginEvent('u1'), loginEvent('u2'), loginEvent('u3')];
      await bus.publish(events);
      await expect.poll(() => first.length, { timeout: waitMs }).toBe(3);
      await expect.poll(() => second.length, { timeout: waitMs }).toBe(3);
      expect(first).toEqual(events.map((event) => event.id));
    });

    it('delivers an event whole', async () => {
      const { bus } = await make();
      const got: DomainEvent[] = [];
      await listening(bus, async (event) => void got.push(event));
      const event = {
        ...loginEvent('u1'),
        traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
        causationId: 'c',
      };
      await bus.publish([event]);
      await expect.poll(() => got, { timeout: waitMs }).toEqual([event]);
    });

    it('erases what it has about somebody for good, and nothing else', async () => {
      const { bus } = await make();
      const kept = loginEvent('u2');
      const shared = { ...loginEvent('u3'), data: { ...kept.data, userId: 'u1' } };
      const others = { ...loginEvent('u3'), data: { ...kept.data, userId: 'u4' } };
      // More than is read at a time.
      const many = Array.from({ length: 600 }, () => ({ ...shared, id: randomUUID() }));
      await bus.publish([loginEvent('u1'), kept, loginEvent('u1'), ...many, shared, others]);
      await bus.erase({ subject: 'u1' });
      await bus.erase({ subject: 'u3', userId: 'u1' });
      const got: string[] = [];
      await listening(bus, async ({ id }) => void got.push(id));
      await expect.poll(() => got.toSorted(), { timeout: waitMs }).toEqual([kept.id, others.id].toSorted());
      const next = loginEvent('u1');
      await bus.publish([next]);
      await expect.poll(() => got.at(-1), { timeout: waitMs }).toBe(next.id);
      expect(got).toHaveLength(3);
    });

    it('gives a new consumer what was published before it came', async () => {
      const { bus } = await make();
      const event = loginEvent('u1');
      await bus.publish([event]);
      const got: string[] = [];
      await listening(bus, async (one) => void got.push(one.id));
      await expect.poll(() => got, { timeout: waitMs }).toEqual([event.id]);
    });

    it('keeps the order of one subject', async () => {
      const { bus } = await make();
      const got: number[] = [];
      await listening(bus, async (event) => void got.push((event.data as { at: number }).at));
      const many = Array.from({ length: 50 }, (_, at) => loginEvent('same', at));
      for (const event of many) await bus.publish([event]);
      await expect.poll(() => got.length, { timeout: waitMs }).toBe(50);
      expect(got).toEqual(many.map((event) => event.data.at));
    });

    it('stores an event once however often it is published', async () => {
      const { bus } = await make();
      const got: string[] = [];
      await listening(bus, async (event) => void got.push(event.id));
      const event = loginEvent('u1');
      const after = loginEvent('u1', 2);
      await bus.publish([event]);
      await bus.publish([event]);
      await bus.publish([after]);
      await expect.poll(() => got.includes(after.id), { timeout: waitMs }).toBe(true);
      expect(got).toEqual([event.id, after.id]);
    });

    it('delivers again when the handler throws, and says which attempt is the last', async () => {
      const { bus } = await make();
      const attempts: { attempt: number; last: boolean }[] = [];
      await listening(bus, async (_, { attempt, last }) => {
        attempts.push({ attempt, last });
        if (!last) throw new Error('not yet');
      });
      await bus.publish([loginEvent('u1')]);
      await expect.poll(() => attempts.length, { timeout: waitMs }).toBe(3);
      expect(attempts).toEqual([
        { attempt: 1, last: false },
        { attempt: 2, last: false },
        { attempt: 3, last: true },
      ]);
    });

    it('never gives an event up while the handler throws, and keeps those behind it in order', async () => {
      const { bus } = await make();
      let failures = 7;
      const got: string[] = [];
      const halfway = Promise.withResolvers<void>();
      await listening(bus, async (event) => {
        if (failures === 4) halfway.resolve();
        if (failures-- > 0) throw new Error('the database is away');
        got.push(event.id);
      });
      const events = [1, 2, 3].map((at) => loginEvent('same', at));
      await bus.publish(events.slice(0, 2));
      await halfway.promise;
      await bus.publish(events.slice(2));
      await expect.poll(() => got, { timeout: waitMs }).toEqual(events.map(({ id }) => id));
    });

    it('keeps the order of one subject when deliveries fail, also over types', async () => {
      const { bus } = await make();
      const got: string[] = [];
      await listening(bus, async ({ type, data }, { attempt }) => {
        got.push(`${'at' in data ? data.at : type}/${attempt}`);
        if (type === 'user.registered' && attempt < 3) throw new Error('not yet');
      });
      await bus.publish([registeredEvent('same'), loginEvent('same', 2), loginEvent('same', 3)]);
      await expect.poll(() => got.length, { timeout: waitMs }).toBe(5);
      expect(got).toEqual([
        ...['user.registered/1', 'user.registered/2', 'user.registered/3'],
        ...['2/1', '3/1'],
      ]);
    });

    it('does not count restarts as attempts', async () => {
      const { bus } = await make();
      const consumer = randomUUID();
      await bus.publish([loginEvent('u1')]);
      for (let restart = 0; restart < 4; restart += 1) {
        const first = Promise.withResolvers<{ attempt: number; last: boolean }>();
        const handle = async (_: DomainEvent, { attempt, last }: { attempt: number; last: boolean }) => {
          first.resolve({ attempt, last });
          throw new Error('not yet');
        };
        const part = await listening(bus, handle, consumer);
        expect(await first.promise).toEqual({ attempt: 1, last: false });
        await part.stop();
      }
    });

    it('counts attempts only, however long an event waits behind the one before it', async () => {
      const { bus } = await make();
      const ackWaitMs = 1_000;
      const got: string[] = [];
      const handle = async (event: DomainEvent, attempt: number) => {
        const { at } = event.data as { at: number };
        // Far past the time in which a server takes what is not acknowledged for failed.
        if (at === 1) await new Promise((resolve) => setTimeout(resolve, 4 * ackWaitMs));
        got.push(`${at}/${attempt}`);
      };
      await listening(bus, (event, { attempt }) => handle(event, attempt), randomUUID(), ackWaitMs);
      await bus.publish([1, 2, 3].map((at) => loginEvent('same', at)));
      await expect.poll(() => got, { timeout: waitMs }).toEqual(['1/1', '2/1', '3/1']);
      const after = loginEvent('same', 4);
      await bus.publish([after]);
      await expect.poll(() => got, { timeout: waitMs }).toEqual(['1/1', '2/1', '3/1', '4/1']);
    });

    it('goes on where it was after a restart of the consumer', async () => {
      const { bus } = await make();
      const consumer = randomUUID();
      const got: string[] = [];
      const part = await listening(bus, async (event) => void got.push(event.id), consumer);
      const first = loginEvent('u1');
      await bus.publish([first]);
      await expect.poll(() => got.length, { timeout: waitMs }).toBe(1);
      await part.stop();
      const missed = loginEvent('u1', 2);
      await bus.publish([missed]);
      await listening(bus, async (event) => void got.push(event.id), consumer);
      await expect.poll(() => got, { timeout: waitMs }).toEqual([first.id, missed.id]);
    });

    it('shares one consumer between replicas: each event is handled by one of them', async () => {
      const { bus, replica } = await make();
      const other = await replica();
      const consumer = randomUUID();
      const got: string[] = [];
      await listening(bus, async (event) => void got.push(event.id), consumer);
      await listening(other, async (event) => void got.push(event.id), consumer);
      const events = Array.from({ length: 20 }, (_, at) => loginEvent(`u${at}`, at));
      await bus.publish(events);
      await expect.poll(() => got.length, { timeout: waitMs }).toBe(20);
      expect(new Set(got)).toEqual(new Set(events.map((event) => event.id)));
    });

    it('has one store id as long as the store lives', async () => {
      const { bus, replica } = await make();
      const store = await bus.store();
      expect(store.id).not.toBe('');
      expect(await (await replica()).store()).toEqual(store);
    });

    it('stores an event again when it is to be delivered again, once for each time that is said', async () => {
      const { bus } = await make();
      const got: string[] = [];
      await listening(bus, async (event) => void got.push(event.id));
      const event = loginEvent('u1');
      const newer = { ...loginEvent('u1', 2), time: event.time + 10 };
      const againBeforeMs = event.time + 5;
      await bus.publish([event, newer]);
      for (let times = 0; times < 2; times += 1) await bus.publish([event, newer], { againBeforeMs });
      const end = loginEvent('u1', 3);
      await bus.publish([end]);
      await expect.poll(() => got.includes(end.id), { timeout: waitMs }).toBe(true);
      expect(got).toEqual([event.id, newer.id, event.id, end.id]);
    });

    it('knows the newest event of some types', async () => {
      const { bus } = await make();
      await bus.store();
      expect(await bus.newest(['user.login', 'user.registered'])).toBeUndefined();
      const events = [loginEvent('u1'), loginEvent('u2')];
      const { mark } = await bus.publish(events);
      expect(await bus.newest(['user.login'])).toEqual({ event: events[1], mark });
      expect(await bus.newest(['message.created'])).toBeUndefined();
    });
  });
};
