import type { LiveBus } from '@skein/events';
import { describe, expect, it, vi } from 'vitest';
import { liveBusPeers, type PeerInbox } from '../src/adapters/live-bus-peers.ts';

const space = 'space';
const eventAt = (offset: number, size = 10) => ({
  offset,
  id: `e${offset}`,
  type: 't',
  json: 'x'.repeat(size),
});

/** Two replicas on one wire on which everybody hears everything, the sender too. */
const replicas = () => {
  const handlers = new Set<(payload: Uint8Array) => void>();
  const sent: Uint8Array[] = [];
  const bus: LiveBus = {
    id: 'bus',
    peers: true,
    run: async () => {},
    stop: async () => {},
    publish: (_, payload) => {
      sent.push(payload);
      for (const handle of handlers) handle(payload);
    },
    subscribe: (_, handle) => {
      handlers.add(handle);
      return () => handlers.delete(handle);
    },
  };
  const make = (instance: string) => {
    const inbox = {
      offer: vi.fn<PeerInbox['offer']>(),
      pass: vi.fn<PeerInbox['pass']>(),
      presence: vi.fn<PeerInbox['presence']>(),
      presenceAsked: vi.fn<PeerInbox['presenceAsked']>(),
      openedElsewhere: vi.fn<PeerInbox['openedElsewhere']>(),
    };
    return { inbox, peers: liveBusPeers(bus, instance, () => inbox) };
  };
  return { a: make('a'), b: make('b'), bus, sent };
};

describe('replicas on a live bus', () => {
  it('hear each other and not themselves', () => {
    const { a, b } = replicas();
    a.peers.follow(space);
    b.peers.follow(space);
    expect(a.inbox.presenceAsked).toHaveBeenCalledTimes(1);
    expect(b.inbox.presenceAsked).not.toHaveBeenCalled();
    a.peers.events(space, 'e', [eventAt(1)]);
    a.peers.ephemeral(space, 'k', '{}');
    a.peers.presence(space, []);
    const socket = { userId: 'ann', deviceId: 'phone', connection: 'c' };
    a.peers.opened(space, socket);
    expect(b.inbox.openedElsewhere).toHaveBeenCalledWith(socket);
    expect(a.inbox.openedElsewhere).not.toHaveBeenCalled();
    expect(b.inbox.offer).toHaveBeenCalledWith({ space, epoch: 'e', events: [eventAt(1)] });
    expect(b.inbox.pass).toHaveBeenCalledWith({ kind: 'ephemeral', space, key: 'k', json: '{}' });
    expect(b.inbox.presence).toHaveBeenCalledWith(space, 'a', []);
    expect(a.inbox.offer).not.toHaveBeenCalled();
    b.peers.leave(space);
    a.peers.events(space, 'e', [eventAt(2)]);
    expect(b.inbox.offer).toHaveBeenCalledTimes(1);
  });

  it('send no message larger than a server takes', () => {
    const { a, b, sent } = replicas();
    b.peers.follow(space);
    a.peers.events(
      space,
      'e',
      Array.from({ length: 10 }, (_, n) => eventAt(n + 1, 300_000)),
    );
    expect(Math.max(...sent.map(({ length }) => length))).toBeLessThan(1_000_000);
    const heard = b.inbox.offer.mock.calls.flatMap(([{ events }]) => events.map(({ offset }) => offset));
    expect(heard).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('pass over what they cannot read', () => {
    const { b, bus } = replicas();
    b.peers.follow(space);
    for (const noise of ['', 'noise', 'noise\n', '{"from":"x","what":"frame"}\n\u00ff'])
      bus.publish(space, Buffer.from(noise, 'latin1'));
    expect(b.inbox.offer).not.toHaveBeenCalled();
  });
});
