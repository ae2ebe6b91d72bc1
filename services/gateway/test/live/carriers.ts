import { vi } from 'vitest';
import { type Harness, tokenOf } from './harness.ts';
import type { TestFrame } from './test-socket.ts';

/** A position as `hello.streams` has it. */
export interface Stream {
  readonly space: string;
  readonly epoch?: string;
  readonly offset?: number;
  readonly lastId?: string;
}

/** Where a client comes back to: positions as a WebSocket names them, or a cursor. */
export type Resume = { readonly streams: readonly Stream[] } | { readonly cursor: string };

/** A device that follows by one of the carriers, and keeps what it gets. */
export interface Client {
  readonly frames: readonly TestFrame[];
  /** The first frame of a type, waited for. */
  first(type: string, match?: Readonly<Record<string, unknown>>): Promise<TestFrame>;
  /** Ends without a goodbye, and says where to come back. */
  cut(): Resume;
}

/** A way to get frames, with the means to break off anywhere and come back. */
export interface Carrier {
  readonly name: string;
  open(live: Harness, user: string, from?: Resume): Client;
}

const firstOf = (frames: readonly TestFrame[], type: string, match: Readonly<Record<string, unknown>> = {}) =>
  vi.waitFor(
    () => {
      const found = frames.find(
        (frame) => frame.type === type && Object.entries(match).every(([key, value]) => frame[key] === value),
      );
      if (!found) throw new Error(`no ${type} among ${frames.map((frame) => frame.type).join(', ')}`);
      return found;
    },
    { timeout: 10_000, interval: 5 },
  );

const webSocket: Carrier = {
  name: 'WebSocket',
  open: (live, user, from) => {
    if (from && 'cursor' in from) throw new Error('a WebSocket names positions, not a cursor');
    const socket = live.hello(user, from ?? {});
    return {
      frames: socket.frames,
      first: (type, match) => firstOf(socket.frames, type, match),
      cut: () => {
        socket.cut();
        const positions = new Map<string, Stream>(from?.streams.map((one) => [one.space, one]));
        for (const frame of socket.frames) {
          const { space, epoch, offset } = frame as unknown as Required<Stream>;
          if (frame.type === 'event') {
            const { id: lastId } = frame['event'] as { id: string };
            positions.set(space, { space, epoch, offset, lastId });
          } else if (frame.type === 'snapshot' && frame['part'] === frame['parts'])
            positions.set(space, { space, epoch, offset });
        }
        return { streams: [...positions.values()] };
      },
    };
  },
};

const queryOf = (user: string, from: Resume | undefined): Record<string, string> => ({
  device: `device-${user}`,
  ...(from && 'cursor' in from ? { cursor: from.cursor } : {}),
  ...(from && 'streams' in from
    ? { streams: Buffer.from(JSON.stringify(from.streams)).toString('base64url') }
    : {}),
});

const request = async (
  live: Harness,
  path: string,
  user: string,
  query: Record<string, string>,
  signal: AbortSignal,
) => {
  const response = await fetch(`${live.url}${path}?${new URLSearchParams(query)}`, {
    headers: { authorization: `Bearer ${tokenOf(user)}` },
    signal,
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return response;
};

const sse: Carrier = {
  name: 'SSE',
  open: (live, user, from) => {
    const abort = new AbortController();
    const frames: TestFrame[] = [];
    let cursor: string | undefined;
    const read = async () => {
      const { body } = await request(live, '/v1/stream', user, queryOf(user, from), abort.signal);
      let text = '';
      for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
        text += chunk;
        const blocks = text.split('\n\n');
        text = blocks.pop() ?? '';
        for (const block of blocks) {
          const data = /^data: (.*)$/m.exec(block)?.[1];
          if (data === undefined || abort.signal.aborted) continue;
          frames.push(JSON.parse(data) as TestFrame);
          cursor = /^id: (.*)$/m.exec(block)?.[1] ?? cursor;
        }
      }
    };
    // Cut by the test, or by the server: what came until then is what counts.
    read().catch(() => {});
    return {
      frames,
      first: (type, match) => firstOf(frames, type, match),
      cut: () => {
        abort.abort();
        return cursor === undefined ? (from ?? { streams: [] }) : { cursor };
      },
    };
  },
};

const poll: Carrier = {
  name: 'poll',
  open: (live, user, from) => {
    const abort = new AbortController();
    const frames: TestFrame[] = [];
    let at = from;
    const read = async () => {
      while (!abort.signal.aborted) {
        const query = { ...queryOf(user, at), waitMs: '20000' };
        const response = await request(live, '/v1/poll', user, query, abort.signal);
        const answer = (await response.json()) as { cursor: string; frames: TestFrame[] };
        if (abort.signal.aborted) return;
        frames.push(...answer.frames);
        at = { cursor: answer.cursor };
      }
    };
    read().catch(() => {});
    return {
      frames,
      first: (type, match) => firstOf(frames, type, match),
      cut: () => {
        abort.abort();
        return at ?? { streams: [] };
      },
    };
  },
};

/** All of them: one contract. */
export const carriers: readonly Carrier[] = [webSocket, sse, poll];
