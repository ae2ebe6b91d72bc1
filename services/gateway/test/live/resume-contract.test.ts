import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type Carrier, type Client, carriers, type Resume, type Stream } from './carriers.ts';
import { type Harness, startLive } from './harness.ts';

const upTo = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => from + at);

/** Events of a space as a client has them, once each poll's and stream's repetition of positions is out of the way. */
const offsetsOf = ({ frames }: Client, space = 'space-ann'): number[] =>
  frames.filter((one) => one.type === 'event' && one['space'] === space).map(({ offset }) => Number(offset));

let live: Harness;
beforeEach(async () => {
  // A ring of eight: most of a log is not in memory. Pages of the log have three events here.
  live = await startLive({ ringCount: 8 });
});
afterEach(() => live.stop());

const append = (count: number, space = 'space-ann'): void => {
  for (let at = 0; at < count; at += 1) live.sync.append(space, 'message.created');
};

/** Opens a client that ends with its test. */
const open = (carrier: Carrier, from?: Resume, user = 'ann'): Client => {
  const client = carrier.open(live, user, from);
  onTestFinished(() => void client.cut());
  return client;
};

const at = (offset: number, more: Partial<Stream> = {}): Resume => ({
  streams: [
    {
      space: 'space-ann',
      epoch: 'e1',
      offset,
      ...(offset > 0 ? { lastId: `event-${offset}` } : {}),
      ...more,
    },
  ],
});

/** A device that is connected all the while: the feed of the space is open, its ring is full of the newest. */
const witness = async (): Promise<void> => {
  const other = live.hello('ann', { device: { id: 'witness', platform: 'web' } });
  await other.first('welcome');
};

const indexOf = (client: Client, type: string) => client.frames.findIndex((one) => one.type === type);

describe.each(carriers.map((carrier) => [carrier.name, carrier] as const))(
  'resuming over %s',
  (_, carrier) => {
    it('goes on from memory, and asks the log for nothing', async () => {
      live.sync.personal('ann');
      await witness();
      append(6);
      const ann = open(carrier, at(2));
      await ann.first('event', { offset: 6 });
      append(1);
      await ann.first('event', { offset: 7 });
      expect(offsetsOf(ann)).toEqual(upTo(3, 7));
      expect(live.sync.reads).toEqual([]);
    });

    it('goes on from the log through many pages into memory and live, without a hole between them', async () => {
      live.sync.personal('ann');
      await witness();
      append(40);
      const ann = open(carrier, at(1));
      append(2);
      await ann.first('event', { offset: 42 });
      append(1);
      await ann.first('event', { offset: 43 });
      expect(offsetsOf(ann)).toEqual(upTo(2, 43));
      expect(live.sync.reads.length).toBeGreaterThan(5);
      expect(ann.frames.filter(({ type }) => type === 'snapshot')).toEqual([]);
    });

    it('goes on from before the first event', async () => {
      live.sync.personal('ann');
      append(5);
      const ann = open(carrier, at(0));
      await ann.first('event', { offset: 5 });
      expect(offsetsOf(ann)).toEqual(upTo(1, 5));
    });

    it.each<[string, Resume]>([
      ['another epoch', at(2, { epoch: 'e0' })],
      ['a position above the head', at(90)],
      ['another event at the position, in memory', at(11, { lastId: 'event-1' })],
      ['another event at the position, in the log', at(2, { lastId: 'event-1' })],
      ['a position below the floor', at(3)],
      ['no position at all', { streams: [{ space: 'space-ann' }] }],
    ])('is never partial: a whole snapshot for %s, then what follows it', async (name, from) => {
      const space = live.sync.personal('ann');
      await witness();
      append(12);
      if (name.includes('floor')) space.floor = 6;
      live.sync.parts = 3;
      const ann = open(carrier, from);
      await ann.first('snapshot', { part: 3 });
      append(2);
      await ann.first('event', { offset: 14 });
      const moving = ann.frames.filter(({ type }) => type === 'snapshot' || type === 'event');
      expect(moving.map(({ type, part, offset }) => [type, type === 'event' ? offset : part])).toEqual([
        ...upTo(1, 3).map((part) => ['snapshot', part]),
        ['event', 13],
        ['event', 14],
      ]);
    });

    it('reads the position before the state: what is committed meanwhile comes after the snapshot, once', async () => {
      live.sync.personal('ann');
      append(4);
      const { readSnapshot } = live.sync.script();
      live.mesh.sync.readSnapshot = async function* (request, ctx) {
        for await (const part of readSnapshot?.(request, ctx) ?? []) {
          append(1);
          yield part;
        }
      };
      const ann = open(carrier, at(1, { epoch: 'e0' }));
      const last = await ann.first('snapshot', { part: 2 });
      append(1);
      const head = live.sync.get('space-ann').events.length;
      await ann.first('event', { offset: head });
      expect(offsetsOf(ann)).toEqual(upTo(Number(last['offset']) + 1, head));
      expect(indexOf(ann, 'event')).toBeGreaterThan(indexOf(ann, 'snapshot'));
    });

    it('asks again whether the person may read: one who was removed meanwhile gets nothing of it', async () => {
      live.sync.personal('ann');
      const team = live.sync.space('team', ['ann', 'bob']);
      append(2, 'team');
      const streams = [
        { space: 'team', epoch: 'e1', offset: 0 },
        { space: 'space-ann', epoch: 'e1', offset: 0 },
      ];
      const before = open(carrier, { streams });
      await before.first('event', { space: 'team', offset: 2 });
      const from = before.cut();
      team.members.delete('ann');
      append(3, 'team');
      append(1);
      // A WebSocket has no position of a space that had no event yet.
      const positions =
        'streams' in from ? { streams: [...from.streams.slice(0, 1), ...streams.slice(1)] } : from;
      const after = open(carrier, positions);
      await after.first('event', { space: 'space-ann', offset: 1 });
      expect(offsetsOf(after, 'team')).toEqual([]);
      const told = after.frames.flatMap((frame) => [frame, ...((frame['streams'] ?? []) as object[])]);
      expect(told).toContainEqual(expect.objectContaining({ space: 'team', ...refusal(carrier) }));
    });

    it('starts over with a snapshot when the epoch changes under it', async () => {
      live.sync.personal('ann');
      append(2);
      const ann = open(carrier, at(1));
      await ann.first('event', { offset: 2 });
      live.sync.reanchor('space-ann', 'e2');
      await ann.first('snapshot', { part: 2, epoch: 'e2' });
      append(1);
      expect(await ann.first('event', { offset: 3 })).toMatchObject({ epoch: 'e2' });
    });

    it('reads again what the live feed left out', async () => {
      const space = live.sync.personal('ann');
      append(2);
      const ann = open(carrier, at(1));
      await ann.first('event', { offset: 2 });
      const [lost] = [live.sync.streams].flatMap((streams) => [...streams]);
      // One event is committed, and its news is lost on the way.
      lost?.followed.delete('space-ann');
      append(1);
      lost?.followed.add('space-ann');
      append(1);
      await ann.first('event', { offset: 4 });
      expect(offsetsOf(ann)).toEqual([2, 3, 4]);
      expect(space.events).toHaveLength(4);
    });

    it('has every event once and in order, wherever it is cut and however often', {
      timeout: 60_000,
    }, async () => {
      let person = 0;
      const steps = fc.array(
        fc.record({ written: fc.integer({ min: 0, max: 14 }), taken: fc.integer({ min: 0, max: 6 }) }),
        { minLength: 1, maxLength: 5 },
      );
      const plan = fc.asyncProperty(steps, async (all) => {
        person += 1;
        const user = `p${person}`;
        const { id } = live.sync.personal(user);
        const got: number[] = [];
        let from: Resume = { streams: [{ space: id, epoch: 'e1', offset: 0 }] };
        const head = () => live.sync.get(id).events.length;
        for (const { written, taken } of [...all, { written: 1, taken: Number.POSITIVE_INFINITY }]) {
          append(written, id);
          const client = carrier.open(live, user, from);
          const wanted = Math.min(head(), got.length + taken);
          await expect
            .poll(() => got.length + offsetsOf(client, id).length, { timeout: 10_000, interval: 5 })
            .toBeGreaterThanOrEqual(wanted);
          from = client.cut();
          got.push(...offsetsOf(client, id));
        }
        expect(got).toEqual(upTo(1, head()));
      });
      await fc.assert(plan, { numRuns: 10 });
    });
  },
);

/** What the client is told of a space that is not the person's any more. */
const refusal = ({ name }: Carrier): Readonly<Record<string, string>> =>
  name === 'poll' ? { type: 'unsubscribed', reason: 'forbidden' } : { error: 'forbidden' };

it('carries a position from one carrier to the next: WebSocket, SSE, poll, and back up', async () => {
  const [webSocket, sse, poll] = carriers as [Carrier, Carrier, Carrier];
  live.sync.personal('ann');
  const got: number[] = [];
  let from: Resume = at(0);
  for (const carrier of [webSocket, sse, poll, sse]) {
    append(12);
    const client = open(carrier, from);
    await client.first('event', { offset: live.sync.get('space-ann').events.length });
    from = client.cut();
    got.push(...offsetsOf(client));
  }
  // An app keeps positions by its frames, as a WebSocket needs them.
  const back = open(webSocket, at(got.at(-1) ?? 0));
  append(1);
  await back.first('event', { offset: 49 });
  expect([...got, ...offsetsOf(back)]).toEqual(upTo(1, 49));
});
