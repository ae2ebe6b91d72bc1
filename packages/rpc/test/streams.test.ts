import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { AppError } from '@skein/contracts';
import { expect, test } from 'vitest';
import { collect, ctx, startClient, startServer } from './fixture.ts';
import type { Probe } from './probe-service.ts';

async function* texts(...all: string[]): AsyncGenerator<Probe> {
  for (const text of all) yield { text };
}

test('a slow reader slows the writer down: the server does not run ahead without bound', async () => {
  let made = 0;
  const big = 'x'.repeat(16_000);
  const server = await startServer({
    count: async function* () {
      for (; made < 10_000; ) {
        made += 1;
        yield { text: big };
      }
    },
  });
  const values = startClient(server).count({ text: '' }, ctx())[Symbol.asyncIterator]();
  await values.next();
  let before = -1;
  await expect
    .poll(() => {
      const still = made === before;
      before = made;
      return still;
    })
    .toBe(true);
  // HTTP/2 windows, socket buffers and some messages on both sides: a few hundred kilobytes, not 160 megabytes.
  expect(made).toBeLessThan(500);
  await values.return?.(undefined);
});

test('a slow server slows the requests of a bidirectional call down', async () => {
  let sent = 0;
  const big = 'x'.repeat(16_000);
  async function* requests() {
    for (; sent < 10_000; ) {
      sent += 1;
      yield { text: big };
    }
  }
  const server = await startServer({
    echo: async function* (incoming) {
      const first = await incoming[Symbol.asyncIterator]().next();
      yield { text: String(first.done) };
      await new Promise(() => {});
    },
  });
  const values = startClient(server).echo(requests(), ctx())[Symbol.asyncIterator]();
  await values.next();
  let before = -1;
  await expect
    .poll(() => {
      const still = sent === before;
      before = sent;
      return still;
    })
    .toBe(true);
  expect(sent).toBeLessThan(500);
  await values.return?.(undefined);
});

test('a stream that goes on keeps nothing of the values it has sent', async () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const sent: WeakRef<Probe>[] = [];
  const last = Promise.withResolvers<void>();
  const server = await startServer({
    count: async function* () {
      for (let n = 0; n < 1_000; n += 1) {
        const value = { text: String(n) };
        sent.push(new WeakRef(value));
        yield value;
      }
      await last.promise;
    },
  });
  const values = startClient(server).count({ text: '' }, ctx())[Symbol.asyncIterator]();
  for (let n = 0; n < 1_000; n += 1) await values.next();
  await expect
    .poll(() => {
      collectGarbage();
      return sent.filter((one) => one.deref() !== undefined).length;
    })
    .toBeLessThan(10);
  last.resolve();
  await values.return?.(undefined);
});

test('a fault in the middle of a stream comes after the values before it', async () => {
  const server = await startServer({
    count: async function* () {
      yield { text: '1' };
      throw new AppError('position_lost', 'gone', { meta: { head: '9' } });
    },
  });
  const seen: string[] = [];
  const reading = (async () => {
    for await (const { text } of startClient(server).count({ text: '' }, ctx())) seen.push(text);
  })();
  await expect(reading).rejects.toMatchObject({ code: 'position_lost', detail: 'gone', meta: { head: '9' } });
  expect(seen).toEqual(['1']);
});

test('requests that fail at the caller end the call with their own error', async () => {
  async function* requests() {
    yield { text: 'a' };
    throw new Error('no more');
  }
  const client = startClient(await startServer());
  await expect(collect(client.echo(requests(), ctx()))).rejects.toThrow('no more');
});

test('a caller that leaves a bidirectional call stops its requests and is told to the server', async () => {
  let stopped = false;
  const aborted = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  async function* requests() {
    try {
      for (let n = 0; ; n += 1) yield { text: String(n) };
    } finally {
      stopped = true;
    }
  }
  const server = await startServer({
    echo: async function* (incoming, { signal }) {
      signal.addEventListener('abort', () => aborted.resolve());
      try {
        for await (const { text } of incoming) yield { text };
      } finally {
        ended.resolve();
      }
    },
  });
  for await (const { text } of startClient(server).echo(requests(), ctx())) {
    if (text === '5') break;
  }
  await Promise.all([aborted.promise, ended.promise]);
  await expect.poll(() => stopped).toBe(true);
});

test('a server that answers before all requests have come may end the call', async () => {
  const server = await startServer({
    echo: async function* (incoming) {
      for await (const { text } of incoming) {
        yield { text };
        return;
      }
    },
  });
  const client = startClient(server);
  await expect(collect(client.echo(texts('a', 'b', 'c'), ctx()))).resolves.toEqual([{ text: 'a' }]);
});

test('at its age a stream is told to end, and one that listens ends without a fault', async () => {
  const server = await startServer(
    {
      count: async function* (_, { signal }) {
        yield { text: 'open' };
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        yield { text: signal.reason.code };
      },
    },
    { maxAgeMs: 200, random: () => 0.5 },
  );
  await expect(collect(startClient(server).count({ text: '' }, ctx()))).resolves.toEqual([
    { text: 'open' },
    { text: 'unavailable' },
  ]);
});

test('a stream that does not listen is ended after the grace as unavailable: never as if it were complete', async () => {
  const server = await startServer(
    {
      count: async function* () {
        yield { text: 'open' };
        await new Promise(() => {});
      },
    },
    { maxAgeMs: 100, streamGraceMs: 100, random: () => 0.5 },
  );
  await expect(collect(startClient(server).count({ text: '' }, ctx()))).rejects.toMatchObject({
    code: 'unavailable',
  });
});

test('a message beyond 4 MB is refused and the connection lives on', async () => {
  const client = startClient(await startServer());
  await expect(client.say({ text: 'x'.repeat(5_000_000) }, ctx())).rejects.toMatchObject({
    code: 'too_large',
  });
  await expect(client.say({ text: 'x' }, ctx())).resolves.toEqual({ text: 'you said x' });
});
