import { createServer, type Server } from 'node:net';
import { promisify } from 'node:util';

const listen = (): Promise<Server> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server));
  });

const portOf = (server: Server): number => {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('A TCP server has no port.');
  return address.port;
};

/**
 * Different TCP ports of the loopback address that were free a moment ago. Somebody else may take one before it is
 * used, so whoever starts a program on them must be ready to try again.
 */
export const freePorts = async (count: number): Promise<number[]> => {
  // All are held open at the same time, or the same port could come back twice.
  const servers = await Promise.all(Array.from({ length: count }, listen));
  const ports = servers.map(portOf);
  await Promise.all(servers.map((server) => promisify(server.close.bind(server))()));
  return ports;
};
