import { Socket } from 'node:net';
import type { NatsConnection } from '@nats-io/transport-node';

const guarded = new WeakSet<Socket>();

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

/** The socket behind a connection; undefined when the client is built differently one day. */
export const socketOf = (connection: NatsConnection): Socket | undefined => {
  const protocol: unknown = isObject(connection) ? connection['protocol'] : undefined;
  const transport = isObject(protocol) ? protocol['transport'] : undefined;
  const socket = isObject(transport) ? transport['socket'] : undefined;
  return socket instanceof Socket ? socket : undefined;
};

/**
 * Keeps one error listener on the socket of a connection. The client takes all of its own off a socket that the
 * server has closed, while a write to it may still have to report its failure ("write after end"): an error that
 * nobody listens to ends the process. To be called for every new socket, so after each reconnect.
 */
export const guardSocket = (connection: NatsConnection): void => {
  const socket = socketOf(connection);
  if (!socket || guarded.has(socket)) return;
  guarded.add(socket);
  const removeAll = socket.removeAllListeners.bind(socket);
  socket.removeAllListeners = (event) => {
    removeAll(event);
    // The connection is being closed for a reason that its status tells already.
    socket.on('error', () => {});
    return socket;
  };
};
