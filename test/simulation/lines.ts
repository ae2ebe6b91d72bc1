import { EventEmitter } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { LiveSide } from '../../services/gateway/src/ports.ts';
import type { Ground } from './disk.ts';
import type { Machine } from './machine.ts';

/** The client's end of a WebSocket. */
export interface Line {
  send(text: string): void;
  /** Says goodbye, as a page does. */
  close(): void;
  /** Breaks without a word; each end notices at a time of its own, the client perhaps never. */
  cut(): void;
}

/** What the client's end is told. */
export interface LineEvents {
  opened(): void;
  message(text: string): void;
  closed(code: number, reason: string): void;
}

/** The gateway's end, as much of a TCP socket as it uses. */
class ServerEnd extends Duplex {
  readonly remoteAddress = '192.0.2.1';
  bytesWritten = 0;
  private readonly deliver: (bytes: Buffer, taken: () => void) => void;

  constructor(deliver: (bytes: Buffer, taken: () => void) => void) {
    super({ allowHalfOpen: false });
    this.deliver = deliver;
  }

  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  override _read(): void {
    // Bytes are pushed as they arrive.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.bytesWritten += chunk.length;
    this.deliver(chunk, done);
  }

  override _writev(chunks: { readonly chunk: Buffer }[], done: () => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), '', done);
  }
}

const latencyMs = { min: 2, max: 40 };
/** A client that heard nothing of a broken line finds out by its own pings, or by the network, this late. */
const noticedMs = { min: 0, max: 8_000 };
const opText = 1;
const opClose = 8;
const opPing = 9;
const opPong = 10;

/** A frame of a client: masked, as it must be, with a mask of zeros. */
const frameOf = (op: number, payload: Buffer): Buffer => {
  const size = payload.length;
  const head =
    size < 126
      ? Buffer.from([0x80 | op, 0x80 | size])
      : size < 65_536
        ? Buffer.from([0x80 | op, 0x80 | 126, size >> 8, size & 0xff])
        : Buffer.concat([Buffer.from([0x80 | op, 0x80 | 127, 0, 0, 0, 0]), uint32(size)]);
  return Buffer.concat([head, Buffer.alloc(4), payload]);
};

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** Reads frames of a server out of a stream of bytes. */
const frameReader = (take: (op: number, payload: Buffer) => void) => {
  let rest = Buffer.alloc(0);
  return (bytes: Buffer): void => {
    rest = Buffer.concat([rest, bytes]);
    while (rest.length >= 2) {
      const short = (rest[1] as number) & 0x7f;
      const head = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (rest.length < head) return;
      const size =
        short < 126 ? short : short === 126 ? rest.readUInt16BE(2) : Number(rest.readBigUInt64BE(2));
      if (rest.length < head + size) return;
      const payload = rest.subarray(head, head + size);
      const op = (rest[0] as number) & 0x0f;
      rest = rest.subarray(head + size);
      take(op, payload);
    }
  };
};

/** The ways into a gateway: a server that takes upgrades, and the answers that do not end by themselves. */
export interface Door {
  readonly machine: Machine;
  readonly server: Server;
  readonly stream: LiveSide['stream'];
  readonly poll: LiveSide['poll'];
}

/** An http server that only ever emits `upgrade`. */
export const upgradeServer = (): Server => new EventEmitter() as unknown as Server;

/** Opens a WebSocket to a gateway: the real handshake and the real frames, over a line that is slow and may break. */
export const openLine = (
  { schedule, random }: Ground,
  door: Door | undefined,
  events: LineEvents,
  url = '/v1/connect',
): Line => {
  let open = true;
  let clientHears = true;
  const arrival = { up: 0, down: 0 };
  const over = (delayMs: number, code: number, reason: string) => {
    schedule.after(delayMs, () => {
      if (!clientHears) return;
      clientHears = false;
      events.closed(code, reason);
    });
  };
  /** Bytes keep their order, whatever each of them takes. */
  const carry = (way: 'up' | 'down', work: () => void) => {
    const atMs = Math.max(arrival[way], schedule.now() + random.between(latencyMs.min, latencyMs.max));
    arrival[way] = atMs;
    schedule.after(atMs - schedule.now(), work);
  };
  if (!door?.machine.alive) {
    over(random.between(latencyMs.min, latencyMs.max), 1006, '');
    return { send: () => {}, close: () => {}, cut: () => {} };
  }

  let greeting: Buffer | undefined = Buffer.alloc(0);
  const read = frameReader((op, payload) => {
    if (!clientHears) return;
    if (op === opText) events.message(payload.toString());
    else if (op === opPing) write(opPong, payload);
    else if (op === opClose) {
      write(opClose, payload);
      over(0, payload.length >= 2 ? payload.readUInt16BE(0) : 1005, payload.subarray(2).toString());
    }
  });
  const received = (bytes: Buffer) => {
    if (greeting === undefined) return read(bytes);
    greeting = Buffer.concat([greeting, bytes]);
    const end = greeting.indexOf('\r\n\r\n');
    if (end < 0) return;
    const accepted = greeting.toString('latin1', 0, 12) === 'HTTP/1.1 101';
    const rest = greeting.subarray(end + 4);
    greeting = undefined;
    if (!accepted) return over(0, 1006, '');
    if (clientHears) events.opened();
    if (rest.length > 0) read(rest);
  };
  const server = new ServerEnd((bytes, taken) =>
    carry('down', () => {
      taken();
      if (open) received(bytes);
    }),
  );
  const cut = () => {
    if (!open) return;
    open = false;
    forget();
    schedule.after(random.between(noticedMs.min, noticedMs.max), () => server.destroy());
    over(random.between(noticedMs.min, noticedMs.max), 1006, '');
  };
  const forget = door.machine.onDeath(() => {
    open = false;
    over(random.between(latencyMs.min, latencyMs.max), 1006, '');
  });
  server.on('error', () => {});
  server.once('close', () => {
    forget();
    if (!open) return;
    carry('down', () => {
      open = false;
      over(0, 1006, '');
    });
  });
  const write = (op: number, payload: Buffer) => {
    carry('up', () => {
      if (open && door.machine.alive && !server.destroyed) server.push(frameOf(op, payload));
    });
  };
  carry('up', () => {
    if (!open || !door.machine.alive) return;
    const request = {
      ...{ method: 'GET', url, httpVersion: '1.1', socket: server as unknown as Socket },
      headers: {
        ...{ host: 'gateway', upgrade: 'websocket', connection: 'Upgrade' },
        ...{ 'sec-websocket-key': 'c2tlaW4gc2ltdWxhdGlvbg==', 'sec-websocket-version': '13' },
      },
    } as unknown as IncomingMessage;
    door.server.emit('upgrade', request, server, Buffer.alloc(0));
  });
  return {
    send: (text) => {
      if (clientHears) write(opText, Buffer.from(text));
    },
    close: () => {
      clientHears = false;
      write(opClose, Buffer.from([0x03, 0xe8]));
      // The page is gone; what the network still holds arrives.
      schedule.after(random.between(100, 2_000), cut);
    },
    cut,
  };
};
