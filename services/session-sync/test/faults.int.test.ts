import type { LiveBus } from '@skein/events';
import { testDatabase } from '@skein/postgres/testing';
import { describe, expect, it, vi } from 'vitest';
import { personalSpaceId } from '../src/app/personal-space.ts';
import { type Cut, cuttingProxy } from './cutting-proxy.ts';
import { actingFor, asService, messageOf, openLive, type Running, startSync } from './harness.ts';

const readAll = async (sync: Running, user: string) => {
  const ctx = actingFor(user);
  const events = [];
  for (;;) {
    const after = events.at(-1)?.offset ?? 0;
    const page = await sync.gateway.readEvents({ space: 'personal', epoch: '', after, limit: 1_000 }, ctx);
    events.push(...page.events);
    if (page.events.length === 0) return events;
  }
};

const messageIds = (events: readonly { type: string; json: string }[]): string[] =>
  events.filter(({ type }) => type === 'message.created').map(({ json }) => JSON.parse(json).data.messageId);

/** Buses of replicas on one wire that may lose what passes. */
const wire = (passes: () => boolean) => {
  const handlers = new Map<string, Set<(payload: Uint8Array) => void>>();
  const bus = (): LiveBus => ({
    id: 'live-bus',
    peers: true,
    run: async () => {},
    stop: async () => {},
    publish: (subject, payload) => {
      if (!passes()) return;
      setImmediate(() => {
        for (const handle of handlers.get(subject) ?? []) handle(payload);
      });
    },
    subscribe: (subject, handle) => {
      const set = handlers.get(subject) ?? new Set();
      handlers.set(subject, set.add(handle));
      return () => set.delete(handle);
    },
  });
  return bus;
};

describe('a connection that breaks around a commit', () => {
  it.each<Cut>(['lost', 'passed', 'answered'])(
    'leaves every message once and in its place (%s)',
    async (cut) => {
      const { url } = await testDatabase();
      await using direct = await startSync(url);
      await using proxy = await cuttingProxy(url, 'session_sync_commit');
      await using sync = await startSync(proxy.url);
      const ctx = actingFor('unlucky', 30_000);
      await sync.gateway.appendMessage(messageOf('first', { reply: false }), ctx);
      proxy.arm(cut, 3);
      const appended = await Promise.all(
        Array.from({ length: 40 }, (_, n) =>
          sync.gateway.appendMessage(messageOf(`m${n}`, { reply: n % 2 === 0 }), ctx),
        ),
      );
      expect(proxy.cuts).toBeGreaterThan(0);
      expect(appended.filter(({ duplicate }) => duplicate)).toEqual([]);
      const events = await readAll(direct, 'unlucky');
      expect(events.map(({ offset }) => offset)).toEqual(Array.from({ length: 42 }, (_, n) => n + 1));
      expect(new Set(messageIds(events))).toEqual(
        new Set([messageIds(events.slice(0, 2))[0], ...appended.map(({ messageId }) => messageId)]),
      );
      for (const { messageId, offset } of appended)
        expect(JSON.parse(events[offset - 1]?.json ?? '{}').data.messageId).toBe(messageId);
    },
  );

  it('gives a device the first answer of a mutation that changed nothing but its seq', async () => {
    const { url } = await testDatabase();
    await using proxy = await cuttingProxy(url, 'session_sync_commit');
    await using sync = await startSync(proxy.url);
    const send = () =>
      sync.gateway.mutate(
        {
          space: 'personal',
          origin: { device: { id: 'phone', platform: 'phone', name: '' } },
          mutationsJson: JSON.stringify([
            {
              seq: 1,
              collection: 'task',
              id: 'a',
              baseVersion: 9,
              ops: [{ op: 'unset', path: ['x'] }],
              hlc: '000000000001-0000-p',
            },
          ]),
        },
        actingFor('stale', 30_000),
      );
    await sync.gateway.getSpace({ space: 'personal' }, actingFor('stale'));
    proxy.arm('answered', 1);
    const [result] = JSON.parse((await send()).resultsJson);
    expect(proxy.cuts).toBe(1);
    expect(result.original ?? result).toEqual({ seq: 1, outcome: 'rejected', code: 'deleted' });
    expect(JSON.parse((await send()).resultsJson)).toMatchObject([{ seq: 1, outcome: 'duplicate' }]);
  });
});

describe('two replicas', () => {
  it('with 64 writers each on one space make one log without gap or double', {
    timeout: 60_000,
  }, async () => {
    const { url } = await testDatabase();
    await using a = await startSync(url);
    await using b = await startSync(url);
    const ctx = actingFor('crowd', 60_000);
    await a.gateway.appendMessage(messageOf('first', { reply: false }), ctx);
    const each = 6;
    const appended = await Promise.all(
      [a, b].flatMap((replica, r) =>
        Array.from({ length: 64 }, async (_, writer) => {
          const mine = [];
          for (let n = 0; n < each; n += 1)
            mine.push(
              await replica.gateway.appendMessage(messageOf(`${r} ${writer} ${n}`, { reply: false }), ctx),
            );
          return mine;
        }),
      ),
    );
    const all = appended.flat();
    const events = await readAll(a, 'crowd');
    expect(events.map(({ offset }) => offset)).toEqual(
      Array.from({ length: 2 + 2 * 64 * each }, (_, n) => n + 1),
    );
    expect(new Set(messageIds(events)).size).toBe(1 + 2 * 64 * each);
    for (const { messageId, offset } of all)
      expect(JSON.parse(events[offset - 1]?.json ?? '{}').data.messageId).toBe(messageId);
    const { items } = await b.gateway.listConversations({ space: 'personal', limit: 0, cursor: '' }, ctx);
    expect(items.map(({ count }) => count)).toEqual([1 + 2 * 64 * each]);
  });

  it('end a turn once, whoever says so where', async () => {
    const { url } = await testDatabase();
    await using a = await startSync(url);
    await using b = await startSync(url);
    for (let round = 0; round < 10; round += 1) {
      const { turnId } = await a.gateway.appendMessage(messageOf(`q${round}`), actingFor('contested'));
      const end = (sync: Running, outcome: string) =>
        sync.agent.endTurn(
          {
            space: personalSpaceId('contested'),
            turnId,
            outcome,
            text: outcome,
            errorCode: '',
            metaJson: '',
          },
          asService(),
        );
      const ends = await Promise.all([
        end(a, 'completed'),
        end(b, 'cancelled'),
        end(a, 'failed'),
        end(b, 'completed'),
      ]);
      expect(ends.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
      expect(new Set(ends.map(({ outcome, offset }) => `${outcome} ${offset}`)).size).toBe(1);
    }
    expect((await readAll(a, 'contested')).filter(({ type }) => type !== 'message.created')).toHaveLength(11);
  });

  it('show each other what they commit, at once over the bus and soon without it', async () => {
    const { url } = await testDatabase();
    let passes = true;
    const bus = wire(() => passes);
    await using a = await startSync(url, {}, { live: bus() });
    await using b = await startSync(url, {}, { live: bus() });
    const ctx = actingFor('mirrored');
    const space = personalSpaceId('mirrored');
    await a.gateway.getSpace({ space: 'personal' }, ctx);
    const live = openLive(b.gateway);
    live.follow(space);
    await vi.waitFor(() => expect(live.frames[0]).toMatchObject({ $case: 'following', value: { head: 0 } }));
    const send = (text: string) => a.gateway.appendMessage(messageOf(text), ctx);
    const { turnId, answerMessageId, conversationId } = await send('one');
    await vi.waitFor(() => expect(live.eventsOf(space)).toHaveLength(2), { timeout: 1_000 });
    await a.agent.publishTokens(
      { space, turnId, messageId: answerMessageId, conversationId, from: 0, text: 'hi' },
      asService(),
    );
    await vi.waitFor(() =>
      expect(live.frames).toContainEqual({
        $case: 'tokens',
        value: { space, turnId, messageId: answerMessageId, conversationId, from: 0, text: 'hi' },
      }),
    );
    // One message is lost; the next one shows the gap, which is read from the log.
    passes = false;
    await send('two');
    passes = true;
    await send('three');
    await vi.waitFor(() => expect(live.eventsOf(space)).toHaveLength(4), { timeout: 1_000 });
    // The last message is lost: only comparing heads finds it.
    passes = false;
    await send('four');
    await vi.waitFor(() => expect(live.eventsOf(space)).toHaveLength(5), { timeout: 5_000 });
    expect(live.eventsOf(space).map(({ offset }) => offset)).toEqual([1, 2, 3, 4, 5]);
    live.close();
    await live.ended;
  });

  it('tell each other of the newer WebSocket of a device, as one replica tells two gateways', async () => {
    const { url } = await testDatabase();
    const bus = wire(() => true);
    await using a = await startSync(url, {}, { live: bus() });
    await using b = await startSync(url, {}, { live: bus() });
    const space = personalSpaceId('mover');
    await a.gateway.getSpace({ space: 'personal' }, actingFor('mover'));
    const gateways = [openLive(a.gateway), openLive(a.gateway), openLive(b.gateway)];
    for (const one of gateways) one.follow(space);
    const following = () => gateways.every(({ frames }) => frames.some(({ $case }) => $case === 'following'));
    await vi.waitFor(() => expect(following()).toBe(true), { timeout: 5_000 });
    const replaced = (at: number) =>
      gateways[at]?.frames.flatMap((frame) => (frame.$case === 'replaced' ? [frame.value] : []));
    for (const [at, one] of gateways.entries()) {
      const device = { id: 'phone', platform: 'web', name: '' };
      const value = { userId: 'mover', device, spaces: [space], connection: `c${at}`, opened: true };
      one.send({ $case: 'attach', value });
      if (at === 0) continue;
      const before = { userId: 'mover', deviceId: 'phone', connection: `c${at - 1}` };
      await vi.waitFor(() => expect(replaced(at - 1)).toEqual([before]), { timeout: 5_000 });
    }
    expect(replaced(2)).toEqual([]);
    for (const one of gateways) {
      one.close();
      await one.ended;
    }
  });

  it('know who is connected through the other', async () => {
    const { url } = await testDatabase();
    const bus = wire(() => true);
    await using a = await startSync(url, {}, { live: bus() });
    await using b = await startSync(url, {}, { live: bus() });
    const space = personalSpaceId('both');
    await a.gateway.getSpace({ space: 'personal' }, actingFor('both'));
    const attach = (live: ReturnType<typeof openLive>, id: string) =>
      live.send({
        $case: 'attach',
        value: {
          userId: 'both',
          device: { id, platform: 'web', name: '' },
          spaces: [space],
          connection: '',
          opened: false,
        },
      });
    const [here, there] = [openLive(a.gateway), openLive(b.gateway)];
    here.follow(space);
    attach(here, 'here');
    there.follow(space);
    attach(there, 'there');
    const present = (live: typeof here) =>
      live.frames
        .flatMap((frame) =>
          frame.$case === 'presence' ? [frame.value.devices.map(({ device }) => device?.id).sort()] : [],
        )
        .at(-1);
    for (const live of [here, there])
      await vi.waitFor(() => expect(present(live)).toEqual(['here', 'there']), { timeout: 5_000 });
    for (const live of [here, there]) {
      live.close();
      await live.ended;
    }
  });
});

describe('the sweeper', () => {
  it('fails a turn nobody ends', async () => {
    const { url } = await testDatabase();
    await using sync = await startSync(url, { TURN_TIMEOUT_MS: '1000', SWEEP_MS: '100' });
    await sync.gateway.appendMessage(messageOf('anybody?'), actingFor('ignored'));
    await vi.waitFor(
      async () => {
        const events = await readAll(sync, 'ignored');
        expect(events.map(({ type }) => type).at(-1)).toBe('turn.failed');
        expect(JSON.parse(events.at(-1)?.json ?? '')).toMatchObject({
          actor: { kind: 'system' },
          data: { error: 'turn_timeout', text: '' },
        });
      },
      { timeout: 5_000 },
    );
  });

  it('waits as long as the config centre says now, also for a turn that is waiting already', async () => {
    const { url } = await testDatabase();
    await using sync = await startSync(url, { SWEEP_MS: '100' });
    await sync.gateway.appendMessage(messageOf('anybody?'), actingFor('patient'));
    const types = async () => (await readAll(sync, 'patient')).map(({ type }) => type);
    expect(await types()).not.toContain('turn.failed');
    expect(sync.change({ TURN_TIMEOUT_MS: 1_000 })).toEqual(['TURN_TIMEOUT_MS']);
    // The default is ten minutes.
    await vi.waitFor(async () => expect(await types()).toContain('turn.failed'), { timeout: 10_000 });
  });
});
