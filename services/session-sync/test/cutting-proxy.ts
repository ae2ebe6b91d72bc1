import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * When the connection breaks: before the server has the statement, as soon as the server has it, or when the server
 * has committed it and answers.
 */
export type Cut = 'lost' | 'passed' | 'answered';

/** A way to Postgres that breaks connections around one named statement. */
export interface CuttingProxy extends AsyncDisposable {
  readonly url: string;
  /** Breaks the connection at the next so many uses of the statement. */
  arm(cut: Cut, times: number): void;
  /** Breaks so far. */
  readonly cuts: number;
}

/** Listens on a unix socket of its own in front of the server behind `url`. */
export const cuttingProxy = async (url: string, statement: string): Promise<CuttingProxy> => {
  const target = new URL(url);
  const upstreamPath = `${target.searchParams.get('host')}/.s.PGSQL.${target.port || 5432}`;
  const directory = await mkdtemp(join(tmpdir(), 'skein-cut-'));
  const sockets = new Set<Socket>();
  let armed: { cut: Cut; times: number } | undefined;
  let cuts = 0;
  const server = createServer((client) => {
    const upstream = connect(upstreamPath);
    let answering = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      socket.on('error', () => {
        client.destroy();
        upstream.destroy();
      });
    }
    upstream.on('data', (data) => {
      if (answering) {
        client.destroy();
        upstream.destroy();
      } else client.write(data);
    });
    upstream.on('end', () => client.end());
    client.on('end', () => upstream.end());
    client.on('data', (data) => {
      if (!armed || armed.times === 0 || !data.includes(`${statement}\0`)) {
        upstream.write(data);
        return;
      }
      armed.times -= 1;
      cuts += 1;
      if (armed.cut === 'lost') {
        client.destroy();
        upstream.destroy();
      } else if (armed.cut === 'passed') {
        upstream.removeAllListeners('data');
        upstream.resume();
        upstream.end(data);
        client.destroy();
      } else {
        answering = true;
        upstream.write(data);
      }
    });
  });
  server.listen(join(directory, '.s.PGSQL.5432'));
  await once(server, 'listening');
  const through = new URL(url);
  through.port = '5432';
  through.searchParams.set('host', directory);
  return {
    url: String(through),
    arm: (cut, times) => {
      armed = { cut, times };
    },
    get cuts() {
      return cuts;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
};
