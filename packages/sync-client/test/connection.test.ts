import { describe, expect, it } from 'vitest';
import {
  type ConnectionDeps,
  createConnection,
  type Link,
  steadyMs,
  welcomeTimeoutMs,
} from '../src/connection.ts';
import { type Access, SignInNeeded } from '../src/ports.ts';
import { countingIds, FakeClock, fakeSockets, settle } from '../src/testing.ts';

function rig(over: Partial<ConnectionDeps> = {}) {
  const clock = new FakeClock();
  const sockets = fakeSockets();
  const links: Link[] = [];
  const asked: boolean[] = [];
  const connection = createConnection({
    clock,
    random: () => 0.5,
    newId: countingIds(),
    openSocket: sockets.open,
    access: async ({ fresh }): Promise<Access> => {
      asked.push(fresh);
      return { token: `token-${asked.length}`, expiresAtMs: clock.now() + 900_000 };
    },
    hello: () => ({ device: { id: 'd1' }, streams: [{ space: 'personal' }] }),
    user: 'u',
    onFrame: () => {},
    onLink: (link) => links.push(link),
    ...over,
  });
  const welcome = (more: Record<string, unknown> = {}): void => {
    sockets.last().events.opened();
    sockets.last().push({
      type: 'welcome',
      connection: 'k',
      user: 'u',
      device: 'd1',
      streams: [],
      pingMs: 10_000,
      ...more,
    });
  };
  const live = async (more: Record<string, unknown> = {}): Promise<void> => {
    connection.start();
    await settle();
    welcome(more);
  };
  return { clock, sockets, links, asked, connection, welcome, live, link: () => links.at(-1) };
}

describe('a connection', () => {
  it('stops when it is welcomed as another person, before anything of the welcome is taken', async () => {
    const frames: string[] = [];
    const r = rig({ onFrame: ({ type }) => frames.push(type) });
    await r.live({ user: 'somebody else' });
    expect(r.links).not.toContainEqual({ phase: 'live' });
    expect(r.link()).toEqual({ phase: 'stopped', why: 'sign_in' });
    expect(frames).toEqual([]);
  });

  it('says hello first, with version, token, device and streams, and is live at the welcome', async () => {
    const r = rig();
    r.connection.start();
    await settle();
    expect(r.link()).toEqual({ phase: 'connecting' });
    r.welcome();
    expect(r.sockets.last().sent[0]).toEqual({
      type: 'hello',
      v: 1,
      token: 'token-1',
      device: { id: 'd1' },
      streams: [{ space: 'personal' }],
    });
    expect(r.link()).toEqual({ phase: 'live' });
  });

  it('waits with jitter after a loss, longer each time, and says until when', async () => {
    const r = rig();
    await r.live();
    r.sockets.last().events.closed(1006, '');
    expect(r.link()).toEqual({ phase: 'waiting', retryAtMs: r.clock.now() + 250 });
    await r.clock.advance(250);
    r.sockets.last().events.closed(1006, '');
    expect(r.link()).toEqual({ phase: 'waiting', retryAtMs: r.clock.now() + 500 });
  });

  it('starts from the shortest wait again after a connection that lasted', async () => {
    const r = rig();
    await r.live();
    r.sockets.last().events.closed(1006, '');
    await r.clock.advance(250);
    r.welcome();
    await r.clock.advance(steadyMs);
    r.sockets.last().events.closed(1006, '');
    expect(r.link()).toEqual({ phase: 'waiting', retryAtMs: r.clock.now() + 250 });
  });

  it('gives up an attempt without a welcome', async () => {
    const r = rig();
    r.connection.start();
    await r.clock.advance(welcomeTimeoutMs);
    expect(r.sockets.last().closedByClient).toBe(true);
    expect(r.link()?.phase).toBe('waiting');
  });

  it('notices a line that has gone silent', async () => {
    const r = rig();
    await r.live();
    await r.clock.advance(20_000);
    expect(r.sockets.last().of('ping')).toHaveLength(2);
    expect(r.link()?.phase).toBe('live');
    await r.clock.advance(10_000);
    expect(r.link()?.phase).toBe('waiting');
  });

  it('stays while frames come', async () => {
    const r = rig();
    await r.live();
    for (let i = 0; i < 10; i++) {
      await r.clock.advance(9_000);
      r.sockets.last().push({ type: 'pong' });
    }
    expect(r.link()?.phase).toBe('live');
    expect(r.sockets.all).toHaveLength(1);
  });

  it('renews the session before it ends, by the server clock', async () => {
    const r = rig();
    await r.live({ serverTime: 50_000, authExpiresAt: 50_000 + 70_000 });
    await r.clock.advance(9_999);
    expect(r.sockets.last().of('auth')).toHaveLength(0);
    await r.clock.advance(1);
    expect(r.sockets.last().of('auth')).toEqual([{ type: 'auth', token: 'token-2', id: 'id-1' }]);
    expect(r.asked).toEqual([false, true]);
    r.sockets.last().answer('auth');
    expect(r.link()?.phase).toBe('live');
  });

  it('gets a fresh token after 4001 and asks to sign in when that does not help', async () => {
    const r = rig();
    await r.live();
    r.sockets.last().events.closed(4001, '');
    await r.clock.advance(1_000);
    expect(r.asked).toEqual([false, true]);
    r.sockets.last().events.closed(4001, '');
    expect(r.link()).toEqual({ phase: 'stopped', why: 'sign_in' });
    await r.clock.advance(600_000);
    expect(r.sockets.all).toHaveLength(2);
  });

  it('asks to sign in when no token is to be had', async () => {
    const r = rig({ access: () => Promise.reject(new SignInNeeded()) });
    r.connection.start();
    await settle();
    expect(r.link()).toEqual({ phase: 'stopped', why: 'sign_in' });
  });

  it('tries again when the token cannot be had right now', async () => {
    const r = rig({ access: () => Promise.reject(new Error('network')) });
    r.connection.start();
    await settle();
    expect(r.link()?.phase).toBe('waiting');
  });

  it('does not fight a newer window of its device, and comes back when asked to', async () => {
    const r = rig();
    await r.live();
    r.sockets.last().events.closed(4010, '');
    await r.clock.advance(600_000);
    expect(r.sockets.all).toHaveLength(1);
    r.connection.start();
    await settle();
    expect(r.sockets.all).toHaveLength(2);
  });

  it('rests while the browser has no network and connects at once when it is back', async () => {
    const r = rig();
    await r.live();
    r.connection.online(false);
    expect(r.link()).toEqual({ phase: 'offline' });
    await r.clock.advance(600_000);
    expect(r.sockets.all).toHaveLength(1);
    r.connection.online(true);
    await settle();
    expect(r.sockets.all).toHaveLength(2);
  });

  it('fails what is under way as retryable when the line is lost', async () => {
    const r = rig();
    await r.live();
    const asked = r.connection.requests.ask({ type: 'cancel', turnId: 't' });
    r.sockets.last().events.closed(1006, '');
    await expect(asked).rejects.toMatchObject({ code: 'unavailable', retryable: true });
  });

  it('ignores what an older socket still reports', async () => {
    const r = rig();
    await r.live();
    const old = r.sockets.last();
    old.events.closed(1006, '');
    await r.clock.advance(250);
    r.welcome();
    old.events.closed(4003, '');
    old.push({ type: 'welcome', connection: 'ghost' });
    expect(r.link()).toEqual({ phase: 'live' });
  });

  it('leaves no timer behind when stopped', async () => {
    const r = rig();
    await r.live({ serverTime: 1, authExpiresAt: 900_000 });
    r.connection.stop();
    expect(r.clock.pending).toBe(0);
    expect(r.link()).toEqual({ phase: 'idle' });
  });
});
