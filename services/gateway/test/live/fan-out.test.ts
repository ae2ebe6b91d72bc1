import { describe, expect, it } from 'vitest';
import { FanOut } from '../../src/live/fan-out.ts';
import { type Batch, ephemeralFrame, eventFrame } from '../../src/live/frame.ts';

/** A crowd whose turns of the event loop a test makes. */
const start = (size: number) => {
  const turns: (() => void)[] = [];
  const handed: number[] = [];
  const fanOut = new FanOut<ReturnType<typeof receiver>>(
    's',
    (task) => turns.push(task),
    ({ frames }, receivers) => void handed.push(frames.length * receivers),
  );
  const served: { count: number } = { count: 0 };
  const receiver = (name: string) => {
    const offsets: number[] = [];
    let batches = 0;
    return {
      name,
      offsets,
      deliver: ({ frames }: Batch) => {
        served.count += 1;
        batches += 1;
        for (const frame of frames) offsets.push(frame.kind === 'event' ? frame.offset : 0);
      },
      get batches() {
        return batches;
      },
    };
  };
  const crowd = Array.from({ length: size }, (_, at) => receiver(`r${at}`));
  for (const one of crowd) fanOut.join(one);
  let offset = 0;
  return {
    ...{ fanOut, crowd, receiver, handed },
    put: (count = 1) => {
      for (let n = 0; n < count; n += 1) {
        offset += 1;
        fanOut.put(eventFrame('{', { offset, id: `e${offset}`, type: 't', json: '{}' }));
      }
    },
    /** One turn; says how many were served in it. */
    turn: () => {
      served.count = 0;
      turns.shift()?.();
      return served.count;
    },
    /** Turns until nothing is left to do; the most that were served in one, and how many altogether. */
    settle: () => {
      const counts: number[] = [];
      while (turns.length > 0) {
        served.count = 0;
        turns.shift()?.();
        counts.push(served.count);
      }
      return { most: Math.max(0, ...counts), all: counts.reduce((sum, count) => sum + count, 0) };
    },
  };
};

const upTo = (to: number, from = 1) => Array.from({ length: to - from + 1 }, (_, at) => from + at);

describe('the fan-out of a space', () => {
  it('gives a crowd of the usual size the frames of one turn in one batch and one turn', () => {
    const { crowd, put, turn, handed } = start(2_000);
    put(3);
    expect(turn()).toBe(2_000);
    expect(handed).toEqual([6_000]);
    expect(crowd.every(({ batches, offsets }) => batches === 1 && offsets.join() === '1,2,3')).toBe(true);
    expect(turn()).toBe(0);
  });

  it('serves a larger crowd in turns of two thousand, and what gathers meanwhile as the next batch', () => {
    const { crowd, put, turn, settle, handed } = start(10_000);
    put();
    expect([turn(), turn()]).toEqual([2_000, 2_000]);
    put(5);
    put(5);
    expect(settle()).toEqual({ most: 2_000, all: 16_000 });
    for (const one of crowd) expect([one.batches, one.offsets]).toEqual([2, upTo(11)]);
    expect(handed).toEqual([10_000, 100_000]);
  });

  it('gives whoever joins in the middle of a round what comes after, and only that', () => {
    const { crowd, fanOut, put, turn, receiver, settle } = start(5_000);
    put(2);
    turn();
    put();
    const late = receiver('late');
    fanOut.join(late);
    put();
    settle();
    expect(late.offsets).toEqual([4]);
    for (const one of crowd) expect(one.offsets).toEqual(upTo(4));
  });

  it('gives whoever leaves nothing more, and whoever is dismissed all that was put in before', () => {
    const { crowd, fanOut, put, turn, settle } = start(5_000);
    const [first, left, dismissed] = [crowd[0], crowd[4_000], crowd[4_500]];
    put();
    turn();
    put();
    if (left) fanOut.leave(left);
    for (const one of [first, dismissed]) if (one) fanOut.dismiss(one);
    expect([first?.offsets, dismissed?.offsets]).toEqual([
      [1, 2],
      [1, 2],
    ]);
    put();
    settle();
    expect([first?.offsets, left?.offsets, dismissed?.offsets]).toEqual([[1, 2], [], [1, 2]]);
    expect(crowd[4_999]?.offsets).toEqual([1, 2, 3]);
    expect(fanOut.size).toBe(4_997);
  });

  it('gives what is for some to them, behind what was put in before', () => {
    const { crowd, fanOut, put, settle } = start(3_000);
    put();
    fanOut.putFor(ephemeralFrame('check', '{}'), ({ name }) => name === 'r7');
    put();
    settle();
    expect(crowd[7]?.offsets).toEqual([1, 0, 2]);
    expect(crowd[8]?.offsets).toEqual([1, 2]);
  });

  it('does not gather without a bound: a crowd that is too slow is served at once', () => {
    const { crowd, put, turn } = start(2_001);
    put();
    turn();
    put(4_096);
    expect(crowd.at(-1)?.offsets).toEqual([]);
    put();
    expect(crowd.at(-1)?.offsets).toEqual(upTo(4_097));
  });

  it('hands everything out before everybody is dismissed', () => {
    const { crowd, fanOut, put, turn } = start(5_000);
    put();
    turn();
    put();
    expect(fanOut.dismissAll()).toHaveLength(5_000);
    for (const one of crowd) expect(one.offsets).toEqual([1, 2]);
    put();
    turn();
    expect(crowd[0]?.offsets).toEqual([1, 2]);
  });
});
