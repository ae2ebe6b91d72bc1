import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import WebSocket from 'ws';

/** The work's own end, or an error that says what was waited for. */
export const within = async <T>(timeoutMs: number, what: string, work: Promise<T>): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${timeoutMs} ms in vain for ${what}`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
};

/** Resolves when the connection is gone; a reset is an end like any other. */
export const gone = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });

/** Everything a peer sent until it closed the connection. */
export const rawAnswer = async (
  port: number,
  bytes: Buffer,
  { localAddress = '127.0.0.1', timeoutMs = 10_000 } = {},
): Promise<string> => {
  const socket = openRaw(port, localAddress);
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    answer += text;
  });
  socket.write(bytes);
  await within(timeoutMs, 'an answer and the end of the connection', gone(socket));
  return answer;
};

/** A bare connection. A reset after the answer is the end like any other. */
export const openRaw = (port: number, localAddress = '127.0.0.1'): Socket => {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  socket.on('error', () => {});
  return socket;
};

/** The status and the JSON body of a bare HTTP answer. */
export const parsedAnswer = (answer: string): { status: number; body: Record<string, unknown> } => {
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  return {
    status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]),
    body: body === '' ? {} : (JSON.parse(body) as Record<string, unknown>),
  };
};

/** A socket with what came over it. */
export interface OpenSocket {
  readonly socket: WebSocket;
  readonly frames: readonly (Record<string, unknown> & { readonly type: string })[];
  /** The close code, once it is closed; undefined while it is open. */
  readonly closed: { readonly code: number; readonly reason: string } | undefined;
}

/** Opens a WebSocket and collects; resolves when the handshake is done. */
export const openSocket = async (url: string, path: string): Promise<OpenSocket> => {
  const socket = new WebSocket(url.replace('http', 'ws') + path);
  const frames: OpenSocket['frames'][number][] = [];
  let closed: OpenSocket['closed'];
  socket.on('message', (data) => frames.push(JSON.parse(String(data)) as OpenSocket['frames'][number]));
  socket.on('close', (code, reason) => {
    closed = { code, reason: String(reason) };
  });
  await once(socket, 'open');
  // What follows an invalid frame of ours; `close` says what there is to say.
  socket.on('error', () => {});
  return {
    socket,
    frames,
    get closed() {
      return closed;
    },
  };
};
