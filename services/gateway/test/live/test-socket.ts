import { expect, vi } from 'vitest';
import { WebSocket } from 'ws';

/** Any frame of ours. */
export type TestFrame = { readonly type: string; readonly [key: string]: unknown };

/** A WebSocket client that keeps everything it gets. */
export class TestSocket {
  readonly ws: WebSocket;
  readonly frames: TestFrame[] = [];
  closed: { code: number; reason: string } | undefined;
  /** Status of a refused handshake. */
  refused: number | undefined;
  private readonly opened: Promise<void>;

  constructor(url: string, options: { origin?: string } = {}) {
    this.ws = new WebSocket(url, options);
    this.opened = new Promise((resolve) => this.ws.once('open', resolve));
    this.ws.on('message', (data) => this.frames.push(JSON.parse(data.toString()) as TestFrame));
    this.ws.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
    });
    this.ws.on('unexpected-response', (_request, response) => {
      this.refused = response.statusCode;
      response.destroy();
    });
    this.ws.on('error', () => {});
  }

  /** Sends a frame as soon as the socket is open; text and bytes go as they are. */
  send(frame: unknown): void {
    void this.opened.then(() => {
      this.ws.send(typeof frame === 'string' || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame));
    });
  }

  of(type: string): TestFrame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  /** Offsets of the events so far. */
  get offsets(): number[] {
    return this.of('event').map(({ offset }) => Number(offset));
  }

  /** The first frame of a type, waited for. */
  async first(type: string, match: Readonly<Record<string, unknown>> = {}): Promise<TestFrame> {
    return vi.waitFor(
      () => {
        const found = this.frames.find(
          (frame) =>
            frame.type === type && Object.entries(match).every(([key, value]) => frame[key] === value),
        );
        if (!found) throw new Error(`no ${type} among ${this.seen()}`);
        return found;
      },
      { timeout: 5_000, interval: 5 },
    );
  }

  /** What came so far, short enough for a message. */
  private seen(): string {
    const types = this.frames.slice(-20).map(({ type }) => type);
    return `${this.frames.length} frames ending in ${types.join(', ')}; ${JSON.stringify(this.closed ?? 'open')}`;
  }

  /** The code it was closed with, waited for. */
  async closeCode(): Promise<number> {
    await expect.poll(() => this.closed?.code, { timeout: 8_000, interval: 5 }).toBeTypeOf('number');
    return this.closed?.code ?? 0;
  }

  /** Ends without a goodbye. */
  cut(): void {
    this.ws.terminate();
  }
}
