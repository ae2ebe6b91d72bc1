import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Socket } from 'node:net';

/** What a fault proxy stands in front of, and where it listens. */
export interface FaultProxyOptions {
  /** A port of the loopback address, or a unix socket. */
  readonly target: NetConnectOpts;
  /** Port of 127.0.0.1. Default: a free one. */
  readonly port?: number;
}

/** A TCP line whose faults a test chooses. Without one, bytes pass as they come. */
export interface FaultProxy extends AsyncDisposable {
  readonly port: number;
  /** Lines that are open now. */
  readonly open: number;
  /** Resets every open line on both sides, as a restarted router does; new ones pass. */
  cut(): void;
  /** Nothing passes on any line, old or new, until `heal`; what was sent meanwhile passes then. */
  stall(): void;
  /**
   * The server's end of every open line is gone and nobody tells the client, whose bytes vanish: as after a power cut
   * or a forgotten NAT entry. New lines pass.
   */
  halfOpen(): void;
  /** Refuses new lines until `heal`, and resets the open ones. */
  refuse(): void;
  /** Ends `stall` and `refuse`. Half-open lines stay dead. */
  heal(): void;
  /** Closes every line and the port. */
  stop(): Promise<void>;
}

/** One client's line through the proxy. */
class Line {
  private readonly client: Socket;
  private server: Socket | undefined;
  private held = true;
  private readonly target: NetConnectOpts;

  constructor(client: Socket, target: NetConnectOpts, ended: () => void) {
    this.client = client;
    this.target = target;
    client.pause();
    // A reset by the other side is what lines are for here; the close that follows says it.
    client.on('error', () => {});
    client.on('close', () => {
      this.server?.destroy();
      ended();
    });
  }

  /** Lets bytes through; connects to the server at the first time. */
  pass(): void {
    this.held = false;
    if (!this.server) this.join();
    this.client.resume();
    this.server?.resume();
  }

  /** Keeps everything back, without a word to either side. */
  hold(): void {
    this.held = true;
    this.client.pause();
    this.server?.pause();
  }

  /** The server learns that the line is gone, the client does not. */
  deafen(): void {
    this.server?.removeAllListeners();
    this.server?.on('error', () => {});
    this.server?.destroy();
    this.client.removeAllListeners('data').resume();
  }

  reset(): void {
    this.client.resetAndDestroy();
    // Only TCP knows resets, and only once it is connected.
    if (this.server?.connecting || 'path' in this.target) this.server?.destroy();
    else this.server?.resetAndDestroy();
  }

  private join(): void {
    const server = connect({ ...this.target, allowHalfOpen: true });
    this.server = server;
    const relay = (from: Socket, to: Socket) => {
      from.on('data', (bytes: Buffer) => {
        if (to.write(bytes)) return;
        from.pause();
        to.once('drain', () => {
          if (!this.held) from.resume();
        });
      });
      from.on('end', () => to.end());
    };
    relay(this.client, server);
    relay(server, this.client);
    server.on('error', () => this.client.resetAndDestroy());
    server.on('close', () => this.client.destroySoon());
  }
}

/** Starts a proxy on the loopback address and resolves when it listens. */
export const faultProxy = async ({ target, port = 0 }: FaultProxyOptions): Promise<FaultProxy> => {
  const lines = new Set<Line>();
  let stalled = false;
  let refusing = false;
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const line = new Line(client, target, () => lines.delete(line));
    lines.add(line);
    if (refusing) line.reset();
    else if (!stalled) line.pass();
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');

  const every = (work: (line: Line) => void) => {
    for (const line of [...lines]) work(line);
  };
  const stop = async () => {
    server.close();
    every((line) => line.reset());
  };
  return {
    port: (server.address() as AddressInfo).port,
    get open() {
      return lines.size;
    },
    cut: () => every((line) => line.reset()),
    stall: () => {
      stalled = true;
      every((line) => line.hold());
    },
    halfOpen: () => every((line) => line.deafen()),
    refuse: () => {
      refusing = true;
      every((line) => line.reset());
    },
    heal: () => {
      refusing = false;
      if (!stalled) return;
      stalled = false;
      every((line) => line.pass());
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
};
