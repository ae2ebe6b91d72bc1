import { createMetrics } from '@skein/telemetry';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { batchOf, eventFrame } from '../../src/live/frame.ts';
import { liveMetrics } from '../../src/live/live-metrics.ts';
import { type Harness, startLive } from './harness.ts';

describe('metrics of the socket side', () => {
  let live: Harness;
  beforeEach(async () => {
    live = await startLive({ ringCount: 8 });
  });
  afterEach(() => live.stop());

  const caughtUp = (socket: ReturnType<Harness['hello']>, offset: number) =>
    socket.first('event', { offset });

  it('tell opened sockets from refused ones', async () => {
    await live.hello('ann').first('welcome');
    await live.hello('bob', { token: 'nonsense' }).first('error');
    const page = live.metrics();
    expect(page).toContain('gateway_socket_open_seconds_count{kind="connect",code="ok"} 1\n');
    expect(page).toContain('gateway_socket_open_seconds_count{kind="connect",code="unauthenticated"} 1\n');
  });

  it('tell how streams begin', async () => {
    const first = live.hello('ann');
    await first.first('welcome');
    for (let at = 0; at < 20; at += 1) live.sync.append('space-ann', 'message.created');
    await caughtUp(first, 20);
    const from = (offset: number, epoch = 'e1') =>
      live.hello('ann', {
        device: { id: `at-${offset}-${epoch}`, platform: 'web' },
        streams: [{ space: 'space-ann', epoch, offset }],
      });
    await caughtUp(from(18), 20);
    await caughtUp(from(4), 20);
    await from(4, 'e0').first('snapshot');
    for (const how of ['head', 'log', 'memory', 'snapshot'])
      expect(live.metrics()).toContain(`gateway_streams_begun_total{how="${how}"} 1\n`);
  });

  it('count one delivery for each frame and connection, and the age of each event once', async () => {
    const devices = ['a', 'b', 'c'].map((id) => live.hello('ann', { device: { id, platform: 'web' } }));
    for (const one of devices) await one.first('welcome');
    const deliveries = () => Number(/gateway_deliveries_total (\d+)/.exec(live.metrics())?.[1] ?? 0);
    const before = deliveries();
    live.sync.append('space-ann', 'message.created');
    for (const one of devices) await caughtUp(one, 1);
    expect(deliveries() - before).toBe(3);
  });

  it('know how old an event is by its id', () => {
    const metrics = createMetrics();
    const { handed } = liveMetrics(metrics, () => 1_700_000_000_030);
    const event = (id: string) => eventFrame('{', { offset: 1, id, type: 't', json: '{}' });
    handed(batchOf('s', [event('018bcfe5-6800-7000-8000-000000000000'), event('of another kind')]), 3);
    expect(metrics.print()).toContain('gateway_push_seconds_sum 0.03\n');
    expect(metrics.print()).toContain('gateway_push_seconds_count 1\n');
    expect(metrics.print()).toContain('gateway_deliveries_total 6\n');
  });
});
