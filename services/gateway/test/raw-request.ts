import { connect } from 'node:net';

/** A bare connection that has sent bytes and keeps what comes back. */
export const openRaw = (port: number, bytes: string | Uint8Array) => {
  const socket = connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  const closed = new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('close', () => resolve());
  });
  // Who does not wait for the end does not care how it comes.
  closed.catch(() => {});
  socket.write(bytes);
  return {
    received: (): string => Buffer.concat(chunks).toString(),
    send: (more: string) => socket.write(more),
    /** Resolves when the other side has closed; rejects when it reset the connection. */
    closed,
    destroy: () => socket.destroy(),
  };
};

/** Sends bytes over a bare connection and gives everything that comes back until the other side closes. */
export const rawRequest = async (port: number, bytes: string | Uint8Array): Promise<string> => {
  const socket = openRaw(port, bytes);
  await socket.closed;
  return socket.received();
};
