import { AppError, type syncV1 } from '@skein/contracts';
import { must } from '@skein/service-kit';
import { describe, expect, it } from 'vitest';
import { Connection, type ConnectionDeps } from '../../src/live/connection.ts';
import { Feeds } from '../../src/live/feeds.ts';
import type { batchOf, Frame } from '../../src/live/frame.ts';
import { Presence } from '../../src/live/presence.ts';
import type { Sink, StreamPosition } from '../../src/live/sink.ts';

/** A reader whose room a test may take away. */
class Reader implements Sink {
  readonly frames: { readonly type: string; readonly space: string; readonly offset?: number }[] = [];
  /** Bytes that wait while it does not read, and how many may. */
  waiting = 0;
  reads = true;
  readonly low = 256 * 1024;
  most = 0;
  private waiters: (() => void)[] = [];

  control(frame: Frame): void {
    this.take(frame);
  }

  batch(batch: ReturnType<typeof batchOf>, _stream: StreamPosition): void {
    for (const frame of batch.frames) this.take(frame);
  }

  ready(): Promise<void> | undefined {
    if (this.waiting <= this.low) return undefined;
    return new Promise((resolve) => this.waiters.push(resolve));
  }

  /** Reads all that waits; everybody who waited for room is told, as by a socket that has drained. */
  drain(): void {
    this.waiting = 0;
    for (const resolve of this.waiters.splice(0)) resolve();
  }

  get seen(): string[] {
    return this.frames.map(({ type, space, offset }) => [type, space, offset].filter(Boolean).join(' '));
  }

  private take({ payload }: Frame): void {
    this.frames.push(JSON.parse(payload.toString('utf8')) as Reader['frames'][number]);
    if (!this.reads) this.waiting += payload.length;
    this.most = Math.max(this.most, this.waiting);
  }
}

const turnOfEventLoop = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A connection of bob over feeds that a test fills; nothing is asked of the log. Upstream has no `missing` ones. */
const bench = (names: readonly string[], missing: readonly string[] = []) => {
  const heads = new Map(names.map((space) => [space, 0]));
  const space = (id: string): syncV1.Space => ({
    ...{ id, kind: id === 'own' ? 'personal' : 'team', title: id, role: 'editor' },
    ...{ epoch: 'e1', head: heads.get(id) ?? 0, lastSeq: 0 },
  });
  const sync = {
    openSession: async () => ({ spaces: names.map(space) }),
  } as unknown as ConnectionDeps['sync'];
  const feeds: Feeds = new Feeds(
    { ring: { count: 10_000, bytes: 1e8 }, bytes: 1e9, lingerMs: 60_000, lingering: 1_000 },
    {
      loadTurn: async () => undefined,
      check: () => {},
      invited: () => {},
      defer: (task) => {
        setImmediate(task);
      },
      handed: () => {},
    },
    (request) => {
      if (request.$case !== 'follow') return;
      const { space: id, after } = request.value;
      if (missing.includes(id)) {
        feeds.dispatch({ $case: 'lost', value: { space: id, epoch: '', head: 0 } });
        return;
      }
      const value = { space: id, epoch: 'e1', after, head: after, turns: [] };
      feeds.dispatch({ $case: 'following', value });
    },
  );
  const reader = new Reader();
  const deps: ConnectionDeps = {
    began: () => {},
    ...{
      feeds,
      presence: new Presence(() => {}),
      sync,
      sessions: (_call, work) => work(),
      readEvents: () => Promise.reject(new Error('the log is not asked')),
      random: () => 0,
      newId: () => 'c',
      callTimeoutMs: 1_000,
    },
  };
  const principal = {
    ...{ userId: 'bob', scopes: [], expiresAtMs: Infinity, issuedAtMs: 0, kind: 'login' as const },
  };
  const connection = new Connection(deps, principal, { id: 'd', platform: 'web', name: '' }, reader);
  /** An event that the log has, and a way to tell the feed of it. */
  const commit = (id: string, type = 'message.created', data: Readonly<Record<string, unknown>> = {}) => {
    const offset = (heads.get(id) ?? 0) + 1;
    heads.set(id, offset);
    const event = { offset, id: `${id}-${offset}`, type, json: JSON.stringify({ type, data }) };
    return () => feeds.dispatch({ $case: 'events', value: { space: id, epoch: 'e1', events: [event] } });
  };
  // Feeds as they are after others have followed them for a while.
  for (const id of names) feeds.acquire(id, undefined, { epoch: 'e1', head: 0 });
  return {
    connection,
    reader,
    append: (...event: Parameters<typeof commit>) => commit(...event)(),
    commit,
    token: (id: string, turnId: string) => {
      const value = { space: id, turnId, messageId: 'm', conversationId: 'c', from: 0, text: 'so far' };
      feeds.dispatch({ $case: 'tokens', value });
    },
  };
};

const from = (space: string) => ({ space, epoch: 'e1', offset: 0 });

describe('a connection', () => {
  it('starts no stream before its own `subscribed`, however many are subscribed to at once', async () => {
    const { connection, reader, append } = bench(['own', 'one', 'two']);
    for (const space of ['one', 'two']) append(space);
    await connection.open([]);
    connection.begin();
    await Promise.all([connection.subscribe(from('one')), connection.subscribe(from('two'))]);
    await turnOfEventLoop();
    const of = (space: string) => reader.seen.filter((one) => one.split(' ')[1] === space);
    expect(of('one')).toEqual(['subscribed one 1', 'event one 1']);
    expect(of('two')).toEqual(['subscribed two 1', 'event two 1']);
  });

  it('says of a space that went after the session named it that it is to be asked for again', async () => {
    const { connection } = bench(['own', 'team'], ['own']);
    const streams = await connection.open([from('own'), from('team')]);
    expect(streams).toMatchObject([
      { space: 'own', error: 'unavailable' },
      { space: 'team', recovered: true },
    ]);
  });

  it('ends by a fault of one stream while it still has the position of that', async () => {
    const { connection, reader } = bench(['own', 'team']);
    await connection.open([from('own'), from('team')]);
    connection.begin();
    const left: string[] = [];
    connection.onFault = ({ code }) => left.push(code, ...connection.streams.map(({ space }) => space));
    connection.ended(must(connection.stream('team'), 'it was opened'), new AppError('unavailable'));
    expect(left).toEqual(['unavailable', 'own', 'team']);
    expect(reader.seen).not.toContain('unsubscribed team');
    expect(connection.streams.map(({ space }) => space)).toEqual(['own']);
  });

  it('passes on nothing of an answer that ended at its position, which the feed has not reached', async () => {
    const { connection, reader, append, commit, token } = bench(['own']);
    append('own', 'turn.started', { turnId: 't' });
    token('own', 't');
    const end = commit('own', 'message.completed', { turnId: 't' });
    await connection.open(undefined);
    connection.begin();
    await turnOfEventLoop();
    token('own', 't');
    end();
    append('own');
    await turnOfEventLoop();
    expect(reader.seen).toEqual(['event own 3']);
  });

  it('passes on nothing of an answer whose beginning nobody has told: its end may be long past', async () => {
    const { connection, reader, append, token } = bench(['own']);
    await connection.open(undefined);
    connection.begin();
    token('own', 'late');
    append('own', 'turn.started', { turnId: 't' });
    token('own', 't');
    await turnOfEventLoop();
    expect(reader.frames.map(({ type }) => type)).toEqual(['event', 'token']);
  });

  it('follows a space opened to the person only after it has begun', async () => {
    const { connection, reader, append } = bench(['own', 'team']);
    append('own');
    await connection.open([from('own')]);
    const welcome = connection.welcomeTo('team');
    await turnOfEventLoop();
    expect(reader.seen).toEqual([]);
    connection.begin();
    await welcome;
    await turnOfEventLoop();
    expect(reader.seen.slice(0, 2)).toContain('event own 1');
    expect(reader.seen).toContain('subscribed team');
  });

  it('gives a person removed during a replay nothing more, although all of it is in memory', async () => {
    const { connection, reader, append } = bench(['own', 'team']);
    const text = 'x'.repeat(1_000);
    for (let at = 1; at <= 1_500; at += 1) append('team', 'message.created', { text });
    await connection.open([from('team')]);
    reader.reads = false;
    connection.begin();
    await turnOfEventLoop();
    const before = reader.frames.length;
    expect(before).toBeLessThan(500);
    append('team', 'member.removed', { userId: 'bob' });
    append('team', 'message.created', { text: 'secret' });
    reader.reads = true;
    reader.drain();
    await turnOfEventLoop();
    append('team', 'message.created', { text: 'secret' });
    await turnOfEventLoop();
    expect(reader.seen.slice(before)).toEqual(['unsubscribed team']);
    expect(reader.frames.at(-1)).toMatchObject({ reason: 'not_member' });
  });

  it('goes on with the replay of a person who was added again', async () => {
    const { connection, reader, append } = bench(['own', 'team']);
    const text = 'x'.repeat(1_000);
    for (let at = 1; at <= 400; at += 1) append('team', 'message.created', { text });
    await connection.open([from('team')]);
    reader.reads = false;
    connection.begin();
    await turnOfEventLoop();
    append('team', 'member.removed', { userId: 'bob' });
    append('team', 'member.added', { userId: 'bob' });
    reader.reads = true;
    reader.drain();
    await turnOfEventLoop();
    expect(reader.frames.at(-1)).toMatchObject({ type: 'event', offset: 402 });
  });

  it('replays many spaces at once within the room of one reader', async () => {
    const names = Array.from({ length: 100 }, (_, at) => `team-${at}`);
    const { connection, reader, append } = bench(['own', ...names]);
    const text = 'x'.repeat(1_000);
    for (const name of names) for (let at = 0; at < 100; at += 1) append(name, 'message.created', { text });
    reader.reads = false;
    await connection.open(names.map(from));
    connection.begin();
    const replayed = () => reader.frames.filter(({ type }) => type === 'event').length;
    while (replayed() < 10_000) {
      await turnOfEventLoop();
      expect(reader.waiting).toBeGreaterThan(0);
      reader.drain();
    }
    // The mark, and the piece that went over it.
    expect(reader.most).toBeLessThan(reader.low + 70 * 1024);
  });
});
