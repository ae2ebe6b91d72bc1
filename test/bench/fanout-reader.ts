/**
 * Many WebSocket receivers in one process where there is no C++ compiler: same arguments, commands and answers as
 * fanout-receivers.cpp, which says what they are. It costs more than the servers that it measures, so the upper steps
 * of the ladder then say more about it than about them.
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { percentile } from './measure-stats.ts';

const [port = '', path = '', hellosFile = '', order = '', opened = '', count = ''] = process.argv.slice(2);
const hellos = readFileSync(hellosFile, 'utf8').split('\n');
const total = Number(count);

interface Receiver {
  readonly socket: Socket;
  state: 'upgrading' | 'opening' | 'open' | 'gone';
  rest: Buffer;
  last: number;
  stalled: boolean;
}

const receivers: Receiver[] = [];
let latencies: number[] = [];
let decided: number[] = [];
let counts = { received: 0, bytes: 0, lost: 0, duplicated: 0, reordered: 0 };
let busy = 0;
let open = 0;
let gone = 0;

const say = (what: object | string) =>
  process.stdout.write(`${typeof what === 'string' ? what : JSON.stringify(what)}\n`);

/** A client's frame with the mask that masks nothing. */
const masked = (opcode: number, payload: Buffer): Buffer => {
  const long = payload.length >= 126;
  const head = Buffer.alloc(long ? 8 : 6);
  head[0] = 0x80 | opcode;
  head[1] = 0x80 | (long ? 126 : payload.length);
  if (long) head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
};

const sendText = (one: Receiver, text: string) => one.socket.write(masked(1, Buffer.from(text)));

const becomeOpen = (one: Receiver) => {
  one.state = 'open';
  busy -= 1;
  open += 1;
  if (open + gone === total) say(`open ${open}`);
  connectMore();
};

const numberAt = (payload: Buffer, at: number): number => {
  let value = 0;
  for (let byte = payload[at] ?? 0; byte >= 48 && byte <= 57; byte = payload[at] ?? 0) {
    value = value * 10 + byte - 48;
    at += 1;
  }
  return value;
};

const text = (one: Receiver, payload: Buffer) => {
  // Centrifugo joins what waits, a line each.
  const line = payload.indexOf(10);
  if (line >= 0) {
    text(one, payload.subarray(0, line));
    if (line + 1 < payload.length) text(one, payload.subarray(line + 1));
    return;
  }
  if (payload.length === 1 && payload[0] === 50) sendText(one, '3');
  else if (payload.length === 2 && payload[0] === 123) sendText(one, '{}');
  else if (one.state === 'opening') {
    if (payload[0] === 48 && opened === '40') sendText(one, '40');
    else if (payload.includes(opened)) becomeOpen(one);
  } else {
    const place = payload.indexOf(order);
    if (place < 0) return;
    const at = numberAt(payload, place + order.length);
    if (one.last > 0 && at !== one.last + 1) {
      if (at === one.last) counts.duplicated += 1;
      else if (at < one.last) counts.reordered += 1;
      else counts.lost += at - one.last - 1;
    }
    one.last = Math.max(one.last, at);
    const stamp = payload.indexOf('TS=');
    if (stamp < 0) return;
    counts.received += 1;
    // Nanoseconds of the monotonic clock fit a double for a hundred days.
    latencies.push((Number(process.hrtime.bigint()) - numberAt(payload, stamp + 3)) / 1e6);
    const time = payload.indexOf('"time":');
    if (time >= 0) decided.push(performance.timeOrigin + performance.now() - numberAt(payload, time + 7));
  }
};

const end = (one: Receiver) => {
  if (one.state === 'gone') return;
  if (one.state !== 'open') busy -= 1;
  one.state = 'gone';
  gone += 1;
  one.socket.destroy();
};

const frames = (one: Receiver, data: Buffer): number => {
  let at = 0;
  while (data.length - at >= 2 && one.state !== 'gone') {
    let length = (data[at + 1] ?? 0) & 127;
    const head = length === 126 ? 4 : length === 127 ? 10 : 2;
    if (data.length - at < head) break;
    if (head === 4) length = data.readUInt16BE(at + 2);
    else if (head === 10) length = Number(data.readBigUInt64BE(at + 2));
    if (data.length - at < head + length) break;
    const payload = data.subarray(at + head, at + head + length);
    const opcode = (data[at] ?? 0) & 15;
    if (opcode === 1) text(one, payload);
    else if (opcode === 9) one.socket.write(masked(10, payload));
    else if (opcode === 8) end(one);
    at += head + length;
  }
  return at;
};

const received = (one: Receiver, index: number, chunk: Buffer) => {
  counts.bytes += chunk.length;
  let data = one.rest.length > 0 ? Buffer.concat([one.rest, chunk]) : chunk;
  if (one.state === 'upgrading') {
    const head = data.indexOf('\r\n\r\n');
    one.rest = data;
    if (head < 0) return;
    if (!data.subarray(0, 12).equals(Buffer.from('HTTP/1.1 101'))) {
      process.stderr.write(data);
      end(one);
      return;
    }
    data = data.subarray(head + 4);
    one.state = 'opening';
    const hello = hellos[index];
    if (hello) sendText(one, hello);
    if (opened === '') becomeOpen(one);
  }
  const used = frames(one, data);
  // A copy: a part of a frame must not keep the whole read in memory.
  one.rest = used < data.length ? Buffer.from(data.subarray(used)) : Buffer.alloc(0);
};

const connectMore = () => {
  while (receivers.length < total && busy < 64) {
    busy += 1;
    const index = receivers.length;
    const socket = connect({ host: '127.0.0.1', port: Number(port), noDelay: true });
    const one: Receiver = { socket, state: 'upgrading', rest: Buffer.alloc(0), last: 0, stalled: false };
    receivers.push(one);
    socket.on('connect', () =>
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: c2tlaW5za2Vpbi0xMjM0NQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`,
      ),
    );
    socket.on('data', (chunk) => received(one, index, chunk));
    socket.on('error', () => end(one));
    socket.on('close', () => end(one));
  }
};

const reading = () => receivers.filter((one) => one.state === 'open' && !one.stalled);
const lowest = () => Math.min(...reading().map((one) => one.last), Number.MAX_SAFE_INTEGER);

const commands: Record<string, (n: number) => void> = {
  report: (upTo) => {
    const tails = reading().reduce((sum, one) => sum + Math.max(0, upTo - one.last), 0);
    const at = (share: number) => percentile(latencies, share);
    const since = { decidedP50: percentile(decided, 0.5), decidedP99: percentile(decided, 0.99) };
    const times = { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1), ...since };
    say({ ...counts, lost: counts.lost + tails, lowest: lowest(), open: open - gone, gone, ...times });
  },
  progress: () => say({ received: counts.received, lowest: lowest() }),
  reset: () => {
    counts = { received: 0, bytes: 0, lost: 0, duplicated: 0, reordered: 0 };
    latencies = [];
    decided = [];
    say({});
  },
  stall: (n) => {
    for (const one of receivers.slice(0, n)) {
      one.stalled = true;
      one.socket.pause();
    }
    say({});
  },
};

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const [name = '', n = '0'] = line.split(' ');
  commands[name]?.(Number(n));
});
lines.on('close', () => process.exit(0));
connectMore();
