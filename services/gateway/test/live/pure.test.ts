import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dropPoints, pointsOf, takePoints } from '../../src/live/code-points.ts';
import {
  batchOf,
  controlFrame,
  eventFrame,
  eventPrefix,
  rawFrame,
  tokenFrame,
} from '../../src/live/frame.ts';
import { Presence } from '../../src/live/presence.ts';
import { Ring } from '../../src/live/ring.ts';
import { Held } from '../../src/live/sink.ts';
import { TurnText } from '../../src/live/turn-text.ts';
import { decodeCursor, encodeCursor } from '../../src/stream/cursor.ts';
import { sseEvent } from '../../src/stream/sse.ts';

const event = (offset: number, size = 10) =>
  eventFrame(eventPrefix('s', 'e'), {
    ...{ offset, id: `id-${offset}`, type: 'message.created' },
    json: JSON.stringify({ text: 'x'.repeat(size) }),
  });

describe('frames', () => {
  it.each([0, 125, 126, 65_535, 65_536])('have the header of RFC 6455 for %i bytes', (length) => {
    const { wire, payload } = rawFrame('x'.repeat(length));
    expect(payload).toHaveLength(length);
    const header =
      length < 126
        ? [length]
        : length < 65_536
          ? [126, length >> 8, length & 255]
          : [127, 0, 0, 0, 0, 0, 1, 0, 0];
    expect([...wire.subarray(0, wire.length - length)]).toEqual([0x81, ...header]);
  });

  it('pass the JSON of an event on as it is', () => {
    const { payload } = eventFrame(eventPrefix('s"', 'e'), {
      offset: 3,
      id: 'i',
      type: 't',
      json: '{ "a":1.0}',
    });
    expect(payload.toString()).toBe(
      '{"type":"event","space":"s\\"","epoch":"e","offset":3,"event":{ "a":1.0}}',
    );
  });

  it('of one tick are one buffer with the range of its events', () => {
    const frames = [
      event(4),
      tokenFrame('s', { turnId: 't', messageId: 'm', conversationId: 'c', from: 0, text: 'x' }),
      event(5),
    ];
    const batch = batchOf('s', frames);
    expect([batch.first, batch.last, batch.lastId]).toEqual([4, 5, 'id-5']);
    expect(batch.wire).toEqual(Buffer.concat(frames.map(({ wire }) => wire)));
  });
});

describe('code points', () => {
  it('are counted and cut as the string iterator sees them', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat({ max: 20 }), (text, points) => {
        const all = Array.from(text);
        expect(pointsOf(text)).toBe(all.length);
        expect(takePoints(text, points)).toBe(all.slice(0, points).join(''));
        expect(dropPoints(text, points)).toBe(all.slice(points).join(''));
      }),
    );
  });
});

describe('the text of a turn', () => {
  const turn = { turnId: 't', messageId: 'm', conversationId: 'c' };

  it('is what a client puts together by the rule of token frames', () => {
    const piece = fc.record({
      back: fc.nat({ max: 3 }),
      text: fc.string({ unit: 'grapheme', maxLength: 5 }),
    });
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const kept = new TurnText(turn, true);
        let client = '';
        for (const { back, text } of pieces) {
          const from = Math.max(0, Array.from(client).length - back);
          client = Array.from(client).slice(0, from).join('') + text;
          kept.add({ ...turn, from, text });
        }
        expect(kept.since(0)?.text).toBe(client);
        expect(kept.since(2)?.text).toBe(Array.from(client).slice(2).join(''));
      }),
    );
  });

  it('is not given out with a hole in it, and is whole again when it was loaded', () => {
    const kept = new TurnText(turn, true);
    kept.add({ ...turn, from: 0, text: 'ab' });
    expect(kept.add({ ...turn, from: 5, text: 'fg' })).toBe(false);
    expect(kept.since(0)).toBeUndefined();
    expect(kept.load('abcdefg')).toBe(true);
    expect(kept.since(5)?.text).toBe('fg');
  });
});

describe('the ring', () => {
  const limits = { count: 4, bytes: 10_000 };

  it('keeps the newest by count and by bytes', () => {
    const ring = new Ring(limits, { used: 0, max: 1_000_000 });
    for (let offset = 1; offset <= 6; offset += 1) ring.push(event(offset));
    expect(ring.first).toBe(3);
    expect(ring.after(1, 10)).toBeUndefined();
    expect(ring.after(2, 10)?.map(({ offset }) => offset)).toEqual([3, 4, 5, 6]);
    expect(ring.after(6, 10)).toEqual([]);
    expect(ring.idAt(4)).toBe('id-4');
    ring.push(event(7, 9_900));
    expect(ring.first).toBe(7);
  });

  it('takes older events only when they end right before its first', () => {
    const ring = new Ring(limits, { used: 0, max: 1_000_000 });
    ring.push(event(5));
    ring.prepend([event(2), event(3)], 5);
    expect(ring.first).toBe(5);
    ring.prepend([event(3), event(4), event(5)], 5);
    expect(ring.after(2, 10)?.map(({ offset }) => offset)).toEqual([3, 4, 5]);
  });

  it('gives its bytes back to the budget that all rings share', () => {
    const budget = { used: 0, max: 1_000_000 };
    const ring = new Ring(limits, budget);
    for (let offset = 1; offset <= 9; offset += 1) ring.push(event(offset));
    expect(budget.used).toBe(4 * event(1).wire.length);
    ring.clear();
    expect(budget.used).toBe(0);
  });

  it('shrinks to a few events while the process is over its budget', () => {
    const budget = { used: 0, max: 1_000 };
    const ring = new Ring({ count: 100, bytes: 1_000_000 }, budget);
    for (let offset = 1; offset <= 60; offset += 1) ring.push(event(offset));
    expect(ring.first).toBe(45);
  });
});

describe('cursors', () => {
  const at = (space: string, position: number) => ({
    ...{ space, epoch: 'e'.repeat(20), position, lastId: 'l'.repeat(36), settled: true },
  });

  it('come back as the positions they were made of, and ask for a snapshot where there is none yet', () => {
    const cursor = encodeCursor([at('a', 3), { ...at('b', 0), settled: false }]);
    expect(decodeCursor(cursor)).toEqual([
      { space: 'a', epoch: 'e'.repeat(20), offset: 3, lastId: 'l'.repeat(36) },
      { space: 'b' },
    ]);
  });

  it('leave the ids out when they would be too long, and refuse what does not fit at all', () => {
    const many = (count: number) =>
      Array.from({ length: count }, (_, n) => at(`space-${n}`.padEnd(36, '0'), n));
    const cursor = encodeCursor(many(35));
    expect(cursor.length).toBeLessThanOrEqual(4_096);
    expect(decodeCursor(cursor)[34]).toMatchObject({ offset: 34, lastId: '' });
    expect(() => encodeCursor(many(200))).toThrow('spaces=');
  });

  it.each(['', '!', 'W10x', Buffer.from('[["a"]]').toString('base64url'), 'A'.repeat(5_000)])(
    'are refused when they are not ours: %#',
    (text) => {
      expect(() => decodeCursor(text)).toThrow('cursor');
    },
  );
});

describe('an event of SSE', () => {
  it('keeps JSON with line breaks between its tokens whole', () => {
    expect(sseEvent(Buffer.from('{"a":\r\n1}'), 'x')).toBe('id: x\ndata: {"a":\ndata: 1}\n\n');
  });
});

describe('presence', () => {
  it('tells once that a device came and once that it went, however many connections it had', () => {
    const told: string[] = [];
    const presence = new Presence(({ $case }) => told.push($case));
    const device = { id: 'd', platform: 'web', name: '' };
    presence.attach('ann', device, ['s']);
    presence.attach('ann', device, ['s']);
    presence.detach('ann', 'd', ['s']);
    expect(presence.devices('ann')).toMatchObject([{ id: 'd', spaces: ['s'] }]);
    presence.detach('ann', 'd', ['s']);
    expect(told).toEqual(['attach', 'detach']);
    expect(presence.devices('ann')).toEqual([]);
  });

  it('bridges the time between two polls without losing count of the spaces', () => {
    const told: string[] = [];
    const presence = new Presence(({ $case }) => told.push($case));
    const device = { id: 'd', platform: 'web', name: '' };
    for (let round = 0; round < 3; round += 1) {
      presence.attach('ann', device, ['s']);
      presence.detach('ann', 'd', ['s'], 60_000);
    }
    expect(told).toEqual(['attach']);
    presence.attach('ann', device, ['s']);
    presence.detach('ann', 'd', ['s']);
    expect(told).toEqual(['attach', 'detach']);
  });
});

describe('frames held back from a slow reader', () => {
  it('come out as the newest of each key, and a turn as one token from the first that was held', () => {
    const turn = new TurnText({ turnId: 't', messageId: 'm', conversationId: 'c' }, true);
    const stream = {
      ...{ space: 's', epoch: 'e', position: 0, lastId: '', settled: true, over: false },
      tokenSince: (_turnId: string, from: number) => {
        const token = turn.since(from);
        return token && tokenFrame('s', token);
      },
    };
    const held = new Held();
    turn.add({ turnId: 't', messageId: 'm', conversationId: 'c', from: 0, text: 'seen' });
    for (const [from, text] of [
      [4, 'a'],
      [5, 'b'],
      [6, 'c'],
    ] as const) {
      const token = { turnId: 't', messageId: 'm', conversationId: 'c', from, text };
      turn.add(token);
      held.add(tokenFrame('s', token), stream);
    }
    held.add({ ...controlFrame({ type: 'typing', n: 1 }), kind: 'ephemeral', key: 'k' }, stream);
    held.add({ ...controlFrame({ type: 'typing', n: 2 }), kind: 'ephemeral', key: 'k' }, stream);
    const out = held.take().map(({ payload }) => JSON.parse(payload.toString()) as Record<string, unknown>);
    expect(out).toMatchObject([
      { type: 'token', from: 4, text: 'abc' },
      { type: 'typing', n: 2 },
    ]);
    expect(held.take()).toEqual([]);
  });

  it("stay where they are when their space was left meanwhile: its answers are not the reader's any more", () => {
    const typing = { ...controlFrame({ type: 'typing' }), kind: 'ephemeral', key: 'k' } as const;
    const token = { turnId: 't', messageId: 'm', conversationId: 'c', from: 0, text: 'secret' };
    const stream = {
      ...{ space: 's', epoch: 'e', position: 0, lastId: '', settled: true, over: false },
      tokenSince: () => tokenFrame('s', token),
    };
    const held = new Held();
    held.add(tokenFrame('s', token), stream);
    held.add(typing, stream);
    stream.over = true;
    expect(held.take()).toEqual([]);
  });
});
