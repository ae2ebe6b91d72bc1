import { AppError, agentV1, erasureV1, eventsV1, syncV1 } from '@skein/contracts';
import { testDatabase } from '@skein/postgres/testing';
import {
  type Definition,
  type Handlers,
  identity,
  implement,
  rootContext,
  rpcClient,
  rpcServer,
} from '@skein/rpc';
import { liveConfig, readConfig } from '@skein/service-kit';
import { createLogger, createMetrics } from '@skein/telemetry';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { compose, type Overrides } from '../src/compose.ts';
import { config } from '../src/config.ts';

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });
const metrics = createMetrics();
const secret = 'a secret for tests that is long enough';
const waitMs = 20_000;

/** session-sync as a peer on the wire: remembers what the agent says, and ends a turn once. */
const syncPeer = () => {
  const ends = new Map<string, syncV1.EndTurnRequest>();
  const tokens: syncV1.PublishTokensRequest[] = [];
  const refuse = async (): Promise<never> => {
    throw new AppError('not_implemented');
  };
  const question = { id: 'q1', role: 'user', text: 'Where are my keys?', timeMs: 1 };
  const earlier = { id: 'm0', role: 'user', text: 'The keys are in the blue bowl', timeMs: 0 };
  const handlers: Partial<Handlers<typeof syncV1.SyncServiceService>> = {
    getSpace: async ({ space }, ctx) => {
      const roles: Record<string, string> = { u1: 'owner', watcher: 'viewer' };
      const role = roles[ctx.actor?.userId ?? ''];
      if (!role) throw new AppError('not_found');
      return { space: { ...syncV1.Space.fromPartial({}), id: space, role } };
    },
    startTurn: async ({ turnId }) => ({
      messageId: `answer-${turnId}`,
      conversationId: 'c1',
      offset: 2,
      ended: ends.get(turnId)?.outcome ?? '',
    }),
    endTurn: async (request) => {
      const known = ends.get(request.turnId);
      if (!known) ends.set(request.turnId, request);
      return { outcome: known?.outcome ?? request.outcome, offset: 3, duplicate: known !== undefined };
    },
    publishTokens: async (request) => {
      tokens.push(request);
      return {};
    },
    listMessages: async () => ({ items: [syncV1.Message.fromPartial(question)], next: '' }),
    searchMessages: async () => ({ items: [syncV1.Message.fromPartial(earlier)] }),
    listDocuments: async () => ({ items: [], next: '' }),
  };
  const all = Object.fromEntries(
    Object.keys(syncV1.SyncServiceService).map((name) => [
      name,
      handlers[name as keyof typeof handlers] ?? refuse,
    ]),
  ) as unknown as Handlers<typeof syncV1.SyncServiceService>;
  const server = rpcServer({
    service: 'session-sync',
    host: '127.0.0.1',
    port: 0,
    implementations: [implement(syncV1.SyncServiceService, all, { allow: 'any' })],
    identity: identity({ service: 'session-sync', secret }),
    log,
    metrics,
  });
  return { server, ends, tokens };
};

let peer: ReturnType<typeof syncPeer>;
let databaseUrl = '';
beforeAll(async () => {
  peer = syncPeer();
  await peer.server.run();
  databaseUrl = (await testDatabase()).url;
});
afterAll(() => peer.server.stop());

const agent = async (instance: string, over: Overrides = {}, env: Record<string, string> = {}) => {
  const read = readConfig(config, {
    DATABASE_URL: databaseUrl,
    DISCOVERY_URL: `static:session-sync=127.0.0.1:${peer.server.port}`,
    INTERNAL_SECRET: secret,
    LOG_LEVEL: 'silent',
    INSTANCE_ID: instance,
    ...env,
  });
  /** Says something in the config centre. */
  const change = (settings: Readonly<Record<string, unknown>>) =>
    liveConfig(read).take([{ scope: 'agent', settings: { AGENT_OFFLINE_PACE_MS: 1, ...settings } }]);
  change({});
  const { service, server } = await compose(read, over);
  await service.run();
  onTestFinished(() => service.stop());
  const open = <D extends Definition>(definition: D, caller: string) => {
    const client = rpcClient(definition, {
      service: 'agent',
      target: `dns:127.0.0.1:${server.port}`,
      identity: identity({ service: caller, secret }),
      log,
      metrics,
    });
    onTestFinished(() => client.stop());
    return client;
  };
  const clientOf = (caller: string) => open(agentV1.AgentServiceService, caller);
  return { service, clientOf, open, change };
};

const ask = (turnId: string): agentV1.StartTurnRequest => ({
  turnId,
  space: 's1',
  conversationId: 'c1',
  messageId: 'q1',
  userId: 'u1',
  persona: 'cruz',
});
const root = (userId?: string) =>
  rootContext({ timeoutMs: 10_000, ...(userId === undefined ? {} : { actor: { userId, scopes: [] } }) });

describe('the agent', () => {
  it('answers a turn once however often it is poked, quoting what it found', async () => {
    const { clientOf } = await agent('one');
    const sync = clientOf('session-sync');
    await sync.startTurn(ask('t-once'), root());
    await sync.startTurn(ask('t-once'), root());
    await expect.poll(() => peer.ends.get('t-once')?.outcome, { timeout: waitMs }).toBe('completed');
    const end = peer.ends.get('t-once');
    expect(end?.text).toContain('> The keys are in the blue bowl');
    expect(JSON.parse(end?.metaJson ?? '')).toMatchObject({ offline: true, sources: [{ message: 'm0' }] });
    const shown = peer.tokens.filter((token) => token.turnId === 't-once');
    expect(shown.map((token) => token.text).join('')).toBe(end?.text);
    // The agent notes the end after session-sync has told it.
    const turn = async () => (await clientOf('gateway').getTurn({ turnId: 't-once' }, root('u1'))).turn;
    await expect
      .poll(turn, { timeout: waitMs, message: 'the turn' })
      .toMatchObject({ state: 'done', text: end?.text });
  });

  it('stops an answer when a member of its space asks, and tells others that there is no such turn', async () => {
    const { clientOf } = await agent('one', {}, { AGENT_OFFLINE_PACE_MS: '500' });
    await clientOf('session-sync').startTurn(ask('t-cancel'), root());
    const gateway = clientOf('gateway');
    await expect
      .poll(() => peer.tokens.some((token) => token.turnId === 't-cancel'), { timeout: waitMs })
      .toBe(true);
    await expect(gateway.cancelTurn({ turnId: 't-cancel' }, root('u2'))).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(gateway.cancelTurn({ turnId: 't-cancel' }, root('watcher'))).rejects.toMatchObject({
      code: 'forbidden',
    });
    await gateway.cancelTurn({ turnId: 't-cancel' }, root('u1'));
    await expect.poll(() => peer.ends.get('t-cancel')?.outcome, { timeout: waitMs }).toBe('cancelled');
    await expect
      .poll(
        () => gateway.cancelTurn({ turnId: 't-cancel' }, root('u1')).catch((error: AppError) => error.code),
        {
          timeout: waitMs,
        },
      )
      .toBe('turn_ended');
  });

  it('works at the pace, as long and on as many answers as the config centre says now', async () => {
    const { clientOf, change } = await agent('live');
    const sync = clientOf('session-sync');
    const shown = (turnId: string) => peer.tokens.some((token) => token.turnId === turnId);
    const slow = { AGENT_OFFLINE_PACE_MS: 3_000 };
    change({ AGENT_OFFLINE_PACE_MS: 400, AGENT_MAX_TURNS: 1 });
    await sync.startTurn(ask('t-slow'), root());
    await expect.poll(() => shown('t-slow'), { timeout: waitMs }).toBe(true);
    // One at a time: the second one waits while the first one goes on, and begins when two may.
    await sync.startTurn(ask('t-second'), root());
    const said = () => peer.tokens.filter(({ turnId }) => turnId === 't-slow').length;
    const before = said();
    await expect.poll(said, { timeout: waitMs }).toBeGreaterThan(before + 2);
    change({ ...slow, AGENT_MAX_TURNS: 1 });
    const { turn } = await clientOf('gateway').getTurn({ turnId: 't-second' }, root('u1'));
    expect(turn?.state).toBe('queued');
    expect(shown('t-second')).toBe(false);
    expect(peer.ends.get('t-slow')).toBeUndefined();
    change({ ...slow, AGENT_MAX_TURNS: 2 });
    await expect.poll(() => shown('t-second'), { timeout: waitMs }).toBe(true);
    expect(peer.ends.get('t-slow')).toBeUndefined();
    // At another pace both are done soon.
    change({});
    for (const id of ['t-slow', 't-second'])
      await expect.poll(() => peer.ends.get(id)?.outcome, { timeout: waitMs }).toBe('completed');
    change({ ...slow, AGENT_TURN_TIMEOUT_MS: 1_000 });
    await sync.startTurn(ask('t-overdue'), root());
    await expect
      .poll(() => peer.ends.get('t-overdue'), { timeout: waitMs })
      .toMatchObject({
        ...{ outcome: 'failed', errorCode: 'deadline_exceeded' },
      });
  }, 60_000);

  it('knows a turn whose poke is still on its way, and says at once that an old one is unknown', async () => {
    const { clientOf } = await agent('one');
    const gateway = clientOf('gateway');
    const young = v7();
    const asked = gateway.getTurn({ turnId: young }, root('u1'));
    await clientOf('session-sync').startTurn(ask(young), root());
    expect((await asked).turn?.id).toBe(young);
    const old = v7({ msecs: Date.now() - 60_000 });
    await expect(gateway.getTurn({ turnId: old }, root('u1'))).rejects.toMatchObject({ code: 'not_found' });
  });

  it('forgets the turns of a person who is erased, and takes up none of theirs any more', async () => {
    const { clientOf, open } = await agent('one');
    const sync = clientOf('session-sync');
    const gateway = clientOf('gateway');
    const turn = (turnId: string, userId: string) => ({ ...ask(turnId), userId });
    for (const [id, userId] of [
      ['t-erased', 'u-erased'],
      ['t-quoting', 'u1'],
    ] as const) {
      await sync.startTurn(turn(id, userId), root());
      await expect
        .poll(async () => (await gateway.getTurn({ turnId: id }, root('u1'))).turn?.state, {
          timeout: waitMs,
        })
        .toBe('done');
    }
    await sync.forgetTurns({ turnIds: ['t-quoting'] }, root());
    expect((await gateway.getTurn({ turnId: 't-quoting' }, root('u1'))).turn).toMatchObject({ text: '' });
    await open(erasureV1.ErasureServiceService, 'user').eraseUser({ userId: 'u-erased', email: '' }, root());
    await sync.startTurn(turn('t-late', 'u-erased'), root());
    for (const turnId of ['t-erased', 't-late'])
      await expect(gateway.getTurn({ turnId }, root('u1'))).rejects.toMatchObject({ code: 'not_found' });
  });

  it('publishes no events, so there are none to replay', async () => {
    const { open } = await agent('one');
    const operator = rootContext({ timeoutMs: 10_000, actor: { userId: 'o', scopes: ['operator'] } });
    const replay = open(eventsV1.EventAdminServiceService, 'gateway').replayEvents(
      { fromMs: Date.now(), reason: 'a test' },
      operator,
    );
    await expect(replay).rejects.toMatchObject({
      code: 'invalid_request',
      detail: expect.stringContaining('publishes no events'),
    });
  });

  it('hands an unfinished answer to a successor when it stops', async () => {
    const first = await agent('one', {}, { AGENT_OFFLINE_PACE_MS: '1000' });
    await first.clientOf('session-sync').startTurn(ask('t-handover'), root());
    await expect
      .poll(() => peer.tokens.some((token) => token.turnId === 't-handover'), { timeout: waitMs })
      .toBe(true);
    await first.service.stop();
    expect(peer.ends.has('t-handover')).toBe(false);
    await agent('two');
    await expect.poll(() => peer.ends.get('t-handover')?.outcome, { timeout: waitMs }).toBe('completed');
  });

  it('refuses a poke from a service that may not give one', async () => {
    const { clientOf } = await agent('one');
    await expect(clientOf('user').startTurn(ask('t-forbidden'), root())).rejects.toMatchObject({
      code: 'forbidden',
    });
  });

  it('names a missing model before it listens', async () => {
    await expect(agent('one', {}, { AGENT_MODEL_URL: 'http://127.0.0.1:1/v1' })).rejects.toThrow(
      /AGENT_MODEL is required/,
    );
  });
});
