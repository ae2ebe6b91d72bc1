import { openDatabase } from '@skein/postgres';
import { type CallContext, deriveContext } from '@skein/rpc';
import { createLogger } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrations } from '../src/adapters/schema.ts';
import { actingFor, admit, messageOf, type Running, startOnNewDatabase, startSync } from './harness.ts';

let sync: Running & { readonly databaseUrl: string };
let other: Running;
beforeAll(async () => {
  sync = await startOnNewDatabase();
  other = await startSync(sync.databaseUrl);
});
afterAll(async () => {
  await other?.stop();
  await sync?.stop();
});

const keyed = (user: string, idempotencyKey: string): CallContext =>
  deriveContext(actingFor(user), { idempotencyKey });
const eventsOf = async (user: string, space = 'personal') =>
  (await sync.gateway.readEvents({ space, epoch: '', after: 0, limit: 100 }, actingFor(user))).events.map(
    ({ type }) => type,
  );
const persona = (name: string) => ({ space: 'personal', persona: name, origin: undefined });
const mismatch = { code: 'idempotency_mismatch' };

describe('a request with an idempotency key', () => {
  it('changes the session once, and is refused with another change', async () => {
    const { gateway } = sync;
    const ctx = keyed('session', 'k');
    const first = await gateway.changeSession(persona('ada'), ctx);
    await gateway.changeSession(persona('cruz'), actingFor('session'));
    expect(await gateway.changeSession(persona('ada'), ctx)).toMatchObject({
      ...{ persona: 'ada', offset: first.offset },
    });
    await expect(gateway.changeSession(persona('grace'), ctx)).rejects.toMatchObject(mismatch);
    const { persona: now } = await gateway.changeSession(
      { space: 'personal', origin: undefined },
      actingFor('session'),
    );
    expect(now).toBe('cruz');
  });

  it('says something once, and is refused with other words or another message id', async () => {
    const ctx = keyed('message', 'k');
    const first = await sync.gateway.appendMessage(messageOf('hi', { reply: false }), ctx);
    expect(await sync.gateway.appendMessage(messageOf('hi', { reply: false }), ctx)).toEqual(first);
    for (const again of [
      messageOf('hi', { reply: false, clientMessageId: 'another' }),
      messageOf('hi', { reply: false, text: 'ho' }),
      messageOf('hi'),
    ])
      await expect(sync.gateway.appendMessage(again, ctx)).rejects.toMatchObject(mismatch);
    expect((await eventsOf('message')).filter((type) => type === 'message.created')).toHaveLength(1);
  });

  it('adds and removes a member once, and is never answered for another space', async () => {
    const { gateway } = sync;
    const made = await Promise.all(
      ['a', 'b'].map((title) => gateway.createSpace({ title, idempotencyKey: '' }, actingFor('owner'))),
    );
    const [space = '', second = ''] = made.map((one) => one.space?.id ?? '');
    const put = { space, userId: 'friend', role: 'editor' };
    await gateway.putMember(put, keyed('owner', 'k'));
    await admit(sync, 'owner', put);
    const remove = { space, userId: 'friend' };
    await gateway.removeMember(remove, keyed('owner', 'k'));
    await gateway.removeMember(remove, keyed('owner', 'k'));
    await expect(gateway.removeMember(remove, actingFor('owner'))).rejects.toMatchObject({
      code: 'not_found',
    });
    // Answered from memory: the friend does not come back.
    await gateway.putMember(put, keyed('owner', 'k'));
    const log = ['member.invited', 'member.added', 'member.removed'];
    expect(await eventsOf('owner', space)).toEqual(log);
    await expect(gateway.putMember({ ...put, space: second }, keyed('owner', 'k'))).rejects.toMatchObject(
      mismatch,
    );
    const conversation = { space, title: 'plan', idempotencyKey: 'k', origin: undefined };
    const { conversation: one } = await gateway.createConversation(conversation, keyed('owner', 'k'));
    expect((await gateway.createConversation(conversation, keyed('owner', 'k'))).conversation).toEqual(one);
    await expect(
      gateway.createConversation({ ...conversation, space: second }, keyed('owner', 'k')),
    ).rejects.toMatchObject(mismatch);
  });

  it('registers a platform and applies a classic document once', async () => {
    const { gateway } = sync;
    const ctx = keyed('classic', 'k');
    const at = (platform: string) => ({ origin: { device: { id: 'd', platform, name: '' } } });
    const first = await gateway.registerPlatform(at('web'), ctx);
    expect((await gateway.registerPlatform(at('web'), ctx)).offset).toBe(first.offset);
    await expect(gateway.registerPlatform(at('cli'), ctx)).rejects.toMatchObject(mismatch);
    const write = (dataJson: string) => ({
      ...at('web'),
      data: { id: 'doc', type: 'task', dataJson, timestamp: 1, version: 1 },
      seenOffset: 0,
    });
    const applied = await gateway.applyClassic(write('{"n":1}'), ctx);
    expect(await gateway.applyClassic(write('{"n":1}'), ctx)).toEqual(applied);
    await expect(gateway.applyClassic(write('{"n":2}'), ctx)).rejects.toMatchObject(mismatch);
  });

  it('is forgotten when it was refused, and belongs to one person only', async () => {
    const missing = { ...messageOf('hi'), conversationId: '01890000-0000-7000-8000-000000000000' };
    await expect(sync.gateway.appendMessage(missing, keyed('refused', 'k'))).rejects.toMatchObject({
      code: 'not_found',
    });
    const { duplicate } = await sync.gateway.appendMessage(messageOf('ho'), keyed('refused', 'k'));
    expect(duplicate).toBe(false);
    await sync.gateway.appendMessage(messageOf('something else'), keyed('somebody else', 'k'));
  });

  it('has one effect when both replicas get it at the same moment', async () => {
    await sync.gateway.listSpaces({ limit: 1, cursor: '' }, actingFor('twice'));
    for (let round = 0; round < 10; round += 1) {
      const ctx = keyed('twice', `round ${round}`.replace(' ', '-'));
      const answers = await Promise.all(
        [sync, other, sync, other].map((one) =>
          one.gateway.changeSession(persona(round % 2 === 0 ? 'ada' : 'cruz'), ctx),
        ),
      );
      expect(new Set(answers.map(({ offset }) => offset)).size).toBe(1);
    }
    // Each change is a document and a persona.
    expect(await eventsOf('twice')).toHaveLength(20);
    // Two spaces ask for one key at once: at most one of them gets it.
    const spaces = await Promise.all(
      ['a', 'b'].map((title) => sync.gateway.createSpace({ title, idempotencyKey: '' }, actingFor('twice'))),
    );
    const outcomes = await Promise.allSettled(
      spaces.map(({ space }) =>
        sync.gateway.putMember({ space: space?.id ?? '', userId: 'x', role: 'viewer' }, keyed('twice', 'k')),
      ),
    );
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  });

  it('may be used for something else after 24 hours', async () => {
    const ctx = keyed('later', 'k');
    await sync.gateway.changeSession(persona('ada'), ctx);
    const database = openDatabase(
      { url: sync.databaseUrl, schema: 'session_sync', migrations, applicationName: 'test', poolSize: 1 },
      { log: createLogger({ service: 'test', instance: 'test', level: 'silent' }) },
    );
    await database.run();
    await database.query(
      `update idempotency_keys set created_at = now() - interval '24 hours' where scope = 'later'`,
    );
    await database.stop();
    expect(await sync.gateway.changeSession(persona('grace'), ctx)).toMatchObject({ persona: 'grace' });
    await expect(sync.gateway.changeSession(persona('ada'), ctx)).rejects.toMatchObject(mismatch);
  });
});
