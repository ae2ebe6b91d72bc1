import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { type FaultProxy, faultProxy } from '../src/index.ts';

/** What one end of a line heard and how it ended. */
const heard = (socket: Socket) => {
  const seen = { text: '', ended: '' };
  socket.on('data', (bytes) => {
    seen.text += String(bytes);
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    seen.ended = error.code ?? error.message;
  });
  socket.on('close', () => {
    seen.ended ||= 'closed';
  });
  return seen;
};

/** A server that echoes, with what it heard on each line, behind a proxy. */
const echo = async () => {
  const lines: ReturnType<typeof heard>[] = [];
  const server = createServer((socket) => {
    lines.push(heard(socket));
    socket.on('data', (bytes) => socket.write(bytes));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy = await faultProxy({ target: { port: (server.address() as AddressInfo).port } });
  onTestFinished(async () => {
    await proxy.stop();
    server.close();
  });
  return { proxy, lines };
};

/** A client that has said a word and heard it. */
const client = async (proxy: FaultProxy, first = 'hello ') => {
  const socket = connect(proxy.port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  const seen = heard(socket);
  socket.write(first);
  await expect.poll(() => seen.text).toBe(first);
  return { socket, seen };
};

it('passes bytes both ways, large ones too, and the end of either side', async () => {
  const { proxy, lines } = await echo();
  const { socket, seen } = await client(proxy);
  const large = 'x'.repeat(4_000_000);
  socket.write(large);
  await expect.poll(() => seen.text.length, { timeout: 10_000 }).toBe(6 + large.length);
  socket.end();
  await expect.poll(() => [seen.ended, lines[0]?.ended]).toEqual(['closed', 'closed']);
  expect(proxy.open).toBe(0);
});

it('cuts what is open by a reset on both sides, and takes new lines', async () => {
  const { proxy, lines } = await echo();
  const { seen } = await client(proxy);
  proxy.cut();
  await expect.poll(() => [seen.ended, lines[0]?.ended]).toEqual(['ECONNRESET', 'ECONNRESET']);
  await client(proxy);
});

it('keeps everything back while stalled, on old and new lines, and passes it on when healed', async () => {
  const { proxy, lines } = await echo();
  const { socket, seen } = await client(proxy);
  proxy.stall();
  socket.write('one');
  const late = connect(proxy.port, '127.0.0.1');
  onTestFinished(() => void late.destroy());
  const lateSeen = heard(late);
  late.write('two');
  await once(late, 'connect');
  await expect.poll(() => proxy.open).toBe(2);
  // The healthy server answers at once; nothing of it comes through.
  expect([seen.text, lateSeen.text, lines.length]).toEqual(['hello ', '', 1]);
  proxy.heal();
  await expect.poll(() => [seen.text, lateSeen.text]).toEqual(['hello one', 'two']);
});

it('leaves the client of a half-open line in the dark, and takes new lines', async () => {
  const { proxy, lines } = await echo();
  const { socket, seen } = await client(proxy);
  proxy.halfOpen();
  await expect.poll(() => lines[0]?.ended).toBe('closed');
  socket.write('anybody?');
  await client(proxy);
  expect(seen).toEqual({ text: 'hello ', ended: '' });
  expect(lines[0]?.text).toBe('hello ');
});

it('refuses new lines until it is healed', async () => {
  const { proxy } = await echo();
  const { seen } = await client(proxy);
  proxy.refuse();
  await expect.poll(() => seen.ended).toBe('ECONNRESET');
  const refused = heard(connect(proxy.port, '127.0.0.1'));
  await expect.poll(() => refused.ended).toBe('ECONNRESET');
  proxy.heal();
  await client(proxy);
});

it('resets the client when there is no server', async () => {
  const closed = createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const { port } = closed.address() as AddressInfo;
  closed.close();
  await once(closed, 'close');
  await using proxy = await faultProxy({ target: { port } });
  const seen = heard(connect(proxy.port, '127.0.0.1'));
  await expect.poll(() => seen.ended).toBe('ECONNRESET');
});
