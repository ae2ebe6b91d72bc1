import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import WebSocket from 'ws';
import { newPerson, type Person, type TestMesh, testMesh } from './support/mesh.ts';

interface Frame {
  readonly type: string;
  readonly offset?: number;
  readonly event?: { readonly data: { readonly text?: string } };
}

/** Somebody who comes back to a position, and is done when the head is reached. */
type Carrier = (query: Record<string, string>, streams: readonly object[], head: number) => Promise<Frame[]>;

const messages = 40;
const waitMs = 30_000;
let on: TestMesh;
let ann: Person;
let space: { id: string; epoch: string; head: number };

const authorization = () => ({ authorization: `Bearer ${ann.accessToken}` });
const get = async <T>(path: string): Promise<T> =>
  (await (await fetch(`${on.url}${path}`, { headers: authorization() })).json()) as T;
const isAt = (head: number, frames: readonly Frame[]) =>
  frames.some(({ type, offset }) => type === 'event' && offset === head);

const webSocket: Carrier = (_, streams, head) =>
  new Promise((resolve, reject) => {
    const frames: Frame[] = [];
    const socket = new WebSocket(`${on.url.replace('http', 'ws')}/v1/connect`);
    socket.on('error', reject);
    socket.on('close', (code) => reject(new Error(`closed with ${code}`)));
    socket.on('open', () => {
      const device = { id: 'by-socket', platform: 'cli' };
      socket.send(JSON.stringify({ type: 'hello', v: 1, token: ann.accessToken, device, streams }));
    });
    socket.on('message', (data) => {
      frames.push(JSON.parse(String(data)) as Frame);
      if (!isAt(head, frames)) return;
      resolve(frames);
      socket.close();
    });
  });

const sse: Carrier = async (query, _, head) => {
  const abort = new AbortController();
  const { body } = await fetch(`${on.url}/v1/stream?${new URLSearchParams(query)}`, {
    headers: authorization(),
    signal: abort.signal,
  });
  const frames: Frame[] = [];
  let text = '';
  for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (data !== undefined) frames.push(JSON.parse(data) as Frame);
    }
    if (isAt(head, frames)) break;
  }
  abort.abort();
  return frames;
};

const poll: Carrier = async (query, _, head) => {
  const frames: Frame[] = [];
  for (let at = query; !isAt(head, frames); ) {
    const answer = await get<{ cursor: string; frames: Frame[] }>(
      `/v1/poll?${new URLSearchParams({ ...at, waitMs: '5000' })}`,
    );
    frames.push(...answer.frames);
    at = { device: query['device'] ?? '', cursor: answer.cursor };
  }
  return frames;
};

beforeAll(async () => {
  on = await testMesh({ env: { MESSAGES_BURST: '1000' } });
  ann = await newPerson(on.url);
  for (let n = 1; n <= messages; n += 1) {
    const sent = await fetch(`${on.url}/v1/spaces/personal/messages`, {
      method: 'POST',
      headers: { ...authorization(), 'content-type': 'application/json' },
      body: JSON.stringify({ clientMessageId: `m${n}`, text: `message ${n}`, reply: false }),
    });
    expect(sent.status).toBe(202);
  }
  space = await get('/v1/spaces/personal');
  const client = new pg.Client({ connectionString: on.mesh.postgres?.url });
  await client.connect();
  try {
    await client.query('set search_path to session_sync');
    // As the service does when they are old; what is not published yet stays.
    await vi.waitFor(
      async () => {
        await client.query(`select archive_events($1, 'session-sync', $2)`, [space.id, Date.now()]);
        const { rows } = await client.query('select "offset"::int from event where stream = $1', [space.id]);
        expect(rows).toEqual([{ offset: space.head }]);
      },
      { timeout: waitMs },
    );
  } finally {
    await client.end();
  }
}, 180_000);

afterAll(async () => {
  await on?.[Symbol.asyncDispose]();
}, 90_000);

describe('a position in events that are archived', () => {
  it.each([
    ['WebSocket', webSocket],
    ['SSE', sse],
    ['poll', poll],
  ] as const)('goes on over %s without a gap, from there to the head', async (name, carrier) => {
    const after = await get<{ events: { offset: number; id: string }[] }>(
      `/v1/spaces/personal/events?after=2&limit=1`,
    );
    const [from] = after.events;
    const streams = [{ space: space.id, epoch: space.epoch, offset: from?.offset, lastId: from?.id }];
    const query = {
      device: `by-${name}`,
      streams: Buffer.from(JSON.stringify(streams)).toString('base64url'),
    };
    const frames = await carrier(query, streams, space.head);
    expect(frames.filter(({ type }) => type === 'snapshot')).toEqual([]);
    const events = frames.filter(({ type }) => type === 'event');
    expect(events.map(({ offset }) => offset)).toEqual(
      Array.from({ length: space.head - 3 }, (_, at) => at + 4),
    );
    expect(events.at(-1)?.event?.data.text).toBe(`message ${messages}`);
  });
});
