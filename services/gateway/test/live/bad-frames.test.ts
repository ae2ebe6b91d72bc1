import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { AppError, type syncV1 } from '@skein/contracts';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Harness, startLive, tokenOf } from './harness.ts';

const device = { id: 'd', platform: 'web' };
const hello = { type: 'hello', v: 1, device, token: tokenOf('ann') };

describe('before hello', () => {
  let live: Harness;
  beforeEach(async () => {
    live = await startLive();
  });
  afterEach(() => live.stop());

  it('closes a socket that says nothing with 4008', async () => {
    await live.stop();
    live = await startLive({ helloMs: 100 });
    for (const path of ['/v1/connect', '/ws/ann']) {
      const socket = live.socket(path);
      expect(await socket.closeCode()).toBe(4008);
      expect(socket.closed?.reason).toBe('{"retryAfterMs":[500,5000]}');
    }
  });

  it.each([
    ['another frame first', { type: 'ping' }, 'protocol_error', 4000],
    ['no JSON', '{"type":', 'malformed_json', 4000],
    ['no object', '[1]', 'invalid_request', 4000],
    ['a wrong version', { ...hello, v: 2 }, 'invalid_request', 4000],
    ['a wrong type', { ...hello, device: { id: 7, platform: 'web' } }, 'invalid_request', 4000],
    ['no credentials', { ...hello, token: undefined }, 'unauthenticated', 4001],
    ['a forged token', { ...hello, token: 'forged' }, 'unauthenticated', 4001],
    ['an expired token', { ...hello, token: 'expired' }, 'token_expired', 4001],
  ])('answers %s with an error and the close code of the table', async (_, frame, code, close) => {
    const socket = live.socket();
    socket.send(frame);
    expect(await socket.first('error')).toMatchObject({ code });
    expect(await socket.closeCode()).toBe(close);
  });

  it('closes with 4013, never 4001, while nobody can tell whether a token is good', async () => {
    live.verifier.away = true;
    const socket = live.socket();
    socket.send(hello);
    expect(await socket.closeCode()).toBe(4013);
    expect(JSON.parse(socket.closed?.reason ?? '')).toEqual({ retryAfterMs: [500, 10_000] });
  });

  it('takes a ticket once', async () => {
    const used = new Set<string>();
    live.mesh.auth.redeemTicket = async ({ ticket }) => {
      if (used.has(ticket)) throw new AppError('ticket_invalid');
      used.add(ticket);
      return {
        principal: {
          userId: 'ann',
          sessionId: 's',
          tokenId: '',
          scopes: [],
          expiresAtMs: Date.now() + 60_000,
        },
      };
    };
    const first = live.socket();
    first.send({ ...hello, token: undefined, ticket: 't1' });
    await first.first('welcome');
    const second = live.socket();
    second.send({ ...hello, token: undefined, ticket: 't1' });
    expect(await second.first('error')).toMatchObject({ code: 'ticket_invalid' });
    expect(await second.closeCode()).toBe(4001);
  });

  it('closes with 4003 when the token may not open a session', async () => {
    live.verifier.scopes = ['documents:read'];
    const socket = live.socket();
    socket.send(hello);
    expect(await socket.closeCode()).toBe(4003);
  });

  it.each([
    ['in one frame', 70_000],
    ['in a frame that never ends', 900_000],
  ])('closes a first frame above 64 KB with 4009, %s', async (_, size) => {
    const socket = live.socket();
    socket.send({ ...hello, padding: 'x'.repeat(size) });
    expect(await socket.closeCode()).toBe(4009);
  });

  it('refuses pages of other origins with 403, and takes listed ones and programs', async () => {
    const foreign = live.socket('/v1/connect', { origin: 'https://evil.example' });
    await vi.waitFor(() => expect(foreign.refused).toBe(403), { timeout: 10_000 });
    for (const origin of ['https://app.example.org', live.url]) {
      const page = live.socket('/v1/connect', { origin });
      page.send(hello);
      await page.first('welcome');
    }
  });

  it('answers upgrades of other paths with 404', async () => {
    const socket = live.socket('/elsewhere');
    await vi.waitFor(() => expect(socket.refused).toBe(404), { timeout: 10_000 });
  });
});

describe('after hello', () => {
  let live: Harness;
  beforeEach(async () => {
    live = await startLive({ maxInflight: 2 });
  });
  afterEach(() => live.stop());

  const open = async () => {
    const socket = live.socket();
    socket.send(hello);
    await socket.first('welcome');
    return socket;
  };

  const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;

  it.each([
    ['an unknown type', { type: 'dance', id: 1 }, 'unknown_type', 1],
    ['a wrong field', { type: 'cancel', id: 'a', turnId: 7 }, 'invalid_request', 'a'],
    ['a second hello', { ...hello, id: 3 }, 'protocol_error', 3],
    ['JSON that is none', '{', 'malformed_json', undefined],
    ['an id that is no id', { type: 'ping', id: {} }, 'invalid_request', undefined],
    ['deep nesting', `{"type":"ping","x":${nested(40)}}`, 'invalid_request', undefined],
    ['very deep nesting', `{"type":"ping","x":${nested(100_000)}}`, 'invalid_request', undefined],
    ['a prototype key', '{"type":"ping","\\u005f_proto__":{}}', 'invalid_request', undefined],
    [
      'a message without text',
      { type: 'message', id: 4, space: 'personal', clientMessageId: 'c', text: '' },
      'invalid_request',
      4,
    ],
  ])('answers %s with an error and stays', async (_, frame, code, id) => {
    const socket = await open();
    socket.send(frame);
    const error = await socket.first('error');
    expect(error).toMatchObject({ code, retryable: false });
    expect(error['id']).toBe(id);
    socket.send({ type: 'ping' });
    await socket.first('pong');
  });

  it.each([
    ['a binary frame', Buffer.from([1, 2, 3]), 4000],
    ['a frame above a million bytes', `"${'x'.repeat(1_000_001)}"`, 4009],
  ])('closes for %s', async (_, frame, code) => {
    const socket = await open();
    socket.send(frame);
    expect(await socket.closeCode()).toBe(code);
  });

  it('closes for text that is not UTF-8 with 1007', async () => {
    const socket = await open();
    socket.ws.send(Buffer.from([0xff, 0xfe]), { binary: false });
    expect(await socket.closeCode()).toBe(1007);
  });

  it('refuses what the token does not allow', async () => {
    live.verifier.scopes = ['session'];
    const socket = await open();
    socket.send({ type: 'message', id: 1, space: 'personal', clientMessageId: 'c', text: 'hi' });
    expect(await socket.first('error')).toMatchObject({ id: 1, code: 'forbidden' });
  });

  it('passes the facts of a fault on as numbers', async () => {
    live.mesh.sync.mutate = async () => {
      throw new AppError('expected_seq', undefined, { meta: { expectedSeq: '12' } });
    };
    const socket = await open();
    const ops = [{ op: 'set', path: ['a'], value: 1 }];
    const hlc = '0189aabbccdd-0000-d';
    const mutations = [{ seq: 20, collection: 'task', id: 't', baseVersion: 0, ops, hlc }];
    socket.send({ type: 'mutate', id: 1, space: 'personal', mutations });
    expect(await socket.first('error')).toMatchObject({ id: 1, code: 'expected_seq', expectedSeq: 12 });
  });

  const mutated = () => {
    const sent = live.mesh.calls('mutate').at(-1)?.request as syncV1.MutateRequest | undefined;
    return JSON.parse(sent?.mutationsJson ?? 'null') as unknown;
  };
  const taken = async () => ({ resultsJson: '[]', lastSeq: 2, deliveredTo: 0 });
  const change = { seq: 1, collection: 'c', id: 'k', baseVersion: 0, hlc: '0189aabbccdd-0000-d' };
  it.each([
    ['a path that is too deep', { ...change, ops: [{ op: 'set', path: [...'abcdefghi'], value: 1 }] }],
    ['an unknown operation', { ...change, ops: [{ op: 'rename', path: ['x'] }] }],
    ['too many operations', { ...change, ops: Array(101).fill({ op: 'unset', path: ['x'] }) }],
    ['no hlc', { seq: 1, collection: 'c', id: 'k', baseVersion: 0, ops: [] }],
    ['an id of another shape', { ...change, id: 'line\nbreak', ops: [{ op: 'delete' }] }],
  ])('passes a mutation with %s on, so that its seq is answered', async (_, mutation) => {
    live.mesh.sync.mutate = taken;
    const fine = { ...change, seq: 2, ops: [{ op: 'set', path: ['a'], value: 1 }] };
    const socket = await open();
    socket.send({ type: 'mutate', id: 1, space: 'personal', mutations: [mutation, fine] });
    await socket.first('result', { id: 1 });
    expect(mutated()).toEqual([mutation, fine]);
  });

  it.each([
    ['half of a surrogate pair', '"\\ud83d"', 'half of a surrogate pair'],
    ['a number beyond a double', '1e999', 'too large'],
    ['a __proto__ key', '{"__proto__":1}', '__proto__'],
    ['too many levels', nested(400_000), 'nested deeper'],
  ])('passes on that a mutation holds %s, and the others as they are', async (_, value, why) => {
    live.mesh.sync.mutate = taken;
    const ops = [{ op: 'set', path: ['a'], value: 1 }];
    const fine = { ...change, seq: 2, ops };
    const bad = JSON.stringify({ ...change, ops }).replace('"value":1', `"value":${value}`);
    const socket = await open();
    socket.send(`{"type":"mutate","id":1,"space":"personal","mutations":[${bad},${JSON.stringify(fine)}]}`);
    await socket.first('result', { id: 1 });
    expect(mutated()).toEqual([{ seq: 1, refused: expect.stringContaining(why) }, fine]);
  });

  it('passes on that a mutation is too large once its numbers are written out, and what fits beside it', async () => {
    live.mesh.sync.mutate = taken;
    const setting = (seq: number, numbers: number) => {
      const value = Array(numbers).fill('1e20').join(',');
      return `{"seq":${seq},"collection":"c","id":"k","baseVersion":0,"hlc":"${change.hlc}","ops":[{"op":"set","path":["a"],"value":[${value}]}]}`;
    };
    const send = async (id: number, ...mutations: readonly string[]) => {
      const frame = `{"type":"mutate","id":${id},"space":"personal","mutations":[${mutations.join(',')}]}`;
      expect(frame.length).toBeLessThan(1_000_000);
      socket.send(frame);
      await socket.first('result', { id });
      const passed = mutated() as { readonly seq: number; readonly refused?: string }[];
      expect(Buffer.byteLength(JSON.stringify(passed))).toBeLessThanOrEqual(2_000_000);
      return passed;
    };
    const socket = await open();
    expect(await send(1, setting(1, 190_000), setting(2, 2))).toEqual([
      { seq: 1, refused: 'too_large' },
      { ...change, seq: 2, ops: [{ op: 'set', path: ['a'], value: [1e20, 1e20] }] },
    ]);
    // Each could be taken, all together could not: the first ones go.
    const many = Array.from({ length: 20 }, (_, at) => setting(at + 1, 9_000));
    const sent = await send(2, ...many);
    expect(sent.map(({ seq }) => seq)).toEqual(Array.from({ length: 10 }, (_, at) => at + 1));
    expect(sent.every(({ refused }) => refused === undefined)).toBe(true);
  });

  it('refuses a batch in which a mutation has no seq: nobody could be told what became of it', async () => {
    const socket = await open();
    socket.send({ type: 'mutate', id: 1, space: 'personal', mutations: [{ ...change, seq: 'one' }] });
    expect(await socket.first('error')).toMatchObject({ id: 1, code: 'invalid_request' });
  });

  it('answers requests above those in flight with overloaded, and the others all the same', async () => {
    let free = () => {};
    const held = new Promise<void>((resolve) => {
      free = resolve;
    });
    live.mesh.agent.cancelTurn = async () => {
      await held;
      return { state: 'cancelled' };
    };
    const socket = await open();
    for (const id of [1, 2, 3]) socket.send({ type: 'cancel', id, turnId: 't' });
    expect(await socket.first('error', { id: 3 })).toMatchObject({ code: 'overloaded', retryable: true });
    free();
    expect(await socket.first('result', { id: 2 })).toMatchObject({ state: 'cancelled' });
    await socket.first('result', { id: 1 });
  });
});

describe('behind a request that hangs', () => {
  let live: Harness;
  beforeEach(async () => {
    live = await startLive({ callTimeoutMs: 1_000 });
  });
  afterEach(() => live.stop());

  const stuck = (_: unknown, { signal }: { readonly signal: AbortSignal }) =>
    new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(new AppError('cancelled')), { once: true });
    });

  it('answers everything within answerMs of its arrival, and does at once what comes after', async () => {
    live.mesh.sync.appendMessage = stuck;
    const socket = live.socket();
    socket.send(hello);
    const { answerMs } = await socket.first('welcome');
    expect(answerMs).toBe(1_000);
    const message = { type: 'message', space: 'personal', text: 'hi' };
    const ids = Array.from({ length: 12 }, (_, at) => at + 1);
    for (const id of ids) socket.send({ ...message, id, clientMessageId: `c${id}` });
    for (const id of ids)
      expect(await socket.first('error', { id })).toMatchObject({
        code: 'deadline_exceeded',
        retryable: true,
      });
    // Those that never got their turn were never asked for; one after the other they would have taken 12 s.
    expect(live.mesh.calls('appendMessage').length).toBeLessThan(8);
    live.mesh.sync.appendMessage = async () => ({
      ...{ messageId: 'm', conversationId: 'k', turnId: '', answerMessageId: '', offset: 1 },
      ...{ duplicate: false, persona: '' },
    });
    socket.send({ ...message, id: 13, clientMessageId: 'c13' });
    expect(await socket.first('result', { id: 13 })).toMatchObject({ messageId: 'm' });
  });
});

describe('an address with many strangers', () => {
  let live: Harness;
  beforeEach(async () => {
    live = await startLive({}, { UNAUTHENTICATED_PER_ADDRESS: 3 });
  });
  afterEach(() => live.stop());

  it('refuses the handshake of one address too many with 429, and takes it when one has signed in', async () => {
    const waiting = [live.socket(), live.socket(), live.socket()];
    await expect.poll(() => waiting.every((one) => one.ws.readyState === one.ws.OPEN)).toBe(true);
    const refused = live.socket();
    await vi.waitFor(() => expect(refused.refused).toBe(429), { timeout: 10_000 });
    waiting[0]?.send(hello);
    await waiting[0]?.first('welcome');
    const taken = live.socket();
    await expect.poll(() => taken.ws.readyState).toBe(taken.ws.OPEN);
  });
});

describe('over the limits', () => {
  let live: Harness;
  beforeEach(async () => {
    live = await startLive({}, { MESSAGES_PER_SECOND: 1, MESSAGES_BURST: 2, SOCKETS_PER_PERSON: 2 });
  });
  afterEach(() => live.stop());

  it('answers rate_limited with a time, and closes with 4029 after ten refusals', async () => {
    const socket = live.socket();
    socket.send(hello);
    await socket.first('welcome');
    for (let id = 1; id <= 12; id += 1) socket.send({ type: 'unsubscribe', id, space: 'nowhere' });
    const error = await socket.first('error');
    expect(error).toMatchObject({ id: 3, code: 'rate_limited', retryable: true });
    expect(error['retryAfterMs']).toBeGreaterThan(0);
    expect(await socket.closeCode()).toBe(4029);
    expect(socket.of('error')).toHaveLength(10);
  });

  it('counts every mutation of a batch', async () => {
    const socket = live.socket();
    socket.send(hello);
    await socket.first('welcome');
    live.mesh.sync.mutate = async () => ({ resultsJson: '[]', lastSeq: 2, deliveredTo: 0 });
    const mutations = [{ seq: 1 }, { seq: 2 }];
    socket.send({ type: 'mutate', id: 1, space: 'personal', mutations });
    await socket.first('result', { id: 1 });
    socket.send({ type: 'unsubscribe', id: 2, space: 'nowhere' });
    expect(await socket.first('error', { id: 2 })).toMatchObject({ code: 'rate_limited' });
  });

  it('closes the socket of a person that is one too many with 4029', async () => {
    const sockets = ['a', 'b', 'c'].map((id) => live.hello('ann', { device: { id, platform: 'web' } }));
    const closed = () => sockets.filter((one) => one.closed);
    await expect.poll(() => closed().length).toBe(1);
    expect(closed()[0]?.closed?.code).toBe(4029);
  });
});

describe('a peer that breaks the protocol', () => {
  let live: Harness;
  beforeEach(async () => {
    live = await startLive({ helloMs: 100 });
  });
  afterEach(() => live.stop());

  it('does not bring the gateway down, whatever it sends behind the handshake', async () => {
    for (let round = 0; round < 20; round += 1) {
      const socket = connect(live.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(
        `GET /v1/connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
      );
      socket.write(randomBytes(500));
      await new Promise<void>((resolve) => socket.once('close', () => resolve()).resume());
    }
    const fine = live.hello('ann');
    await fine.first('welcome');
  });
});
