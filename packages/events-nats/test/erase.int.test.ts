import { randomUUID } from 'node:crypto';
import { jetstreamManager } from '@nats-io/jetstream';
import { startNats } from '@skein/components';
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
  const over: Pick<AbortSignal, 'throwIfAborted'> = {
    throwIfAborted: () => {
      looks += 1;
      if (looks > 5) throw new Error('over');
    },
  };
  await expect(bus.erase({ subject: 'space', userId: 'erased' }, over as AbortSignal)).rejects.toMatchObject({
    code: expect.any(String),
  });
  const now = await left();
  expect(now).toBeGreaterThan(10);
  expect(now).toBeLessThan(30);
  await bus.erase({ subject: 'space', userId: 'erased' });
  expect(await left()).toBe(10);
});
