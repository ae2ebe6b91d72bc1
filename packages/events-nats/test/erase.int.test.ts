import { randomUUID } from 'node:crypto';
import { jetstreamManager } from '@nats-io/jetstream';
import { startNats } from '@skein/components';
import { AppError } from '@skein/contracts';
import { loginEvent } from '@skein/events/testing';
import { createLogger } from '@skein/telemetry';
import { expect, it, onTestFinished } from 'vitest';
import { jetStreamBus, natsLink } from '../src/index.ts';

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });

it('JetStream stops erasing when the time is over, and goes on where it was', async () => {
  const nats = await startNats();
  onTestFinished(() => nats.stop());
  const link = natsLink({ url: nats.url, name: 'test', log });
  await link.run();
  onTestFinished(() => link.stop());
  const bus = jetStreamBus({ link, log });
  const event = loginEvent('space');
  const all = Array.from({ length: 30 }, (_, n) => ({
    ...event,
    id: randomUUID(),
    data: { ...event.data, userId: n % 3 === 0 ? 'other' : 'erased' },
  }));
  await bus.publish(all);
  const left = async () =>
    (await (await jetstreamManager(link.get())).streams.info('SKEIN_EVENTS')).state.messages;
  let looks = 0;
  const over = new AbortController();
  const { throwIfAborted } = over.signal;
  over.signal.throwIfAborted = () => {
    looks += 1;
    if (looks > 5) over.abort(new AppError('deadline_exceeded'));
    throwIfAborted.call(over.signal);
  };
  await expect(bus.erase({ subject: 'space', userId: 'erased' }, over.signal)).rejects.toMatchObject({
    code: 'deadline_exceeded',
  });
  const now = await left();
  expect(now).toBeGreaterThan(10);
  expect(now).toBeLessThan(30);
  await bus.erase({ subject: 'space', userId: 'erased' });
  expect(await left()).toBe(10);
});
