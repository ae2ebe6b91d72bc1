import type { IncomingMessage } from 'node:http';
import { Writable } from 'node:stream';
import type { LiveSide } from '../../services/gateway/src/ports.ts';
import type { Ground } from './disk.ts';
import type { Machine } from './machine.ts';

/** What the client of a request is told. */
export interface AnswerEvents {
  /** The next piece of a good answer. */
  text(piece: string): void;
  /** The answer is complete, or the line broke, or it was no good answer: `ok` only for the first. */
  ended(ok: boolean): void;
}

const latencyMs = { min: 2, max: 40 };
/** Each end finds out by itself, this late, that the line broke. */
const noticedMs = { min: 0, max: 8_000 };

/** As much of a response as an endless answer uses. */
class Answer extends Writable {
  private readonly deliver: (bytes: Buffer, taken: () => void) => void;

  constructor(deliver: (bytes: Buffer, taken: () => void) => void) {
    super({ highWaterMark: 16_384 });
    this.deliver = deliver;
  }

  writeHead(): this {
    return this;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.deliver(chunk, done);
  }
}

/** Asks a process for a path, over a line that is slow and may break. Gives the way to break it without a word. */
export const openRequest = (
  { schedule, random }: Ground,
  server: { readonly machine: Machine; readonly handle: LiveSide['stream'] } | undefined,
  { path, token }: { readonly path: string; readonly token: string },
  events: AnswerEvents,
): (() => void) => {
  let open = true;
  let over = false;
  const end = (delayMs: number, ok: boolean) => {
    schedule.after(delayMs, () => {
      if (over) return;
      over = true;
      events.ended(ok);
    });
  };
  const hop = () => random.between(latencyMs.min, latencyMs.max);
  if (!server?.machine.alive) {
    end(hop(), false);
    return () => {};
  }
  const { machine, handle } = server;
  let arrivalMs = 0;
  /** Pieces keep their order, whatever each of them takes. */
  const carry = (work: () => void) => {
    arrivalMs = Math.max(arrivalMs, schedule.now() + hop());
    schedule.after(arrivalMs - schedule.now(), work);
  };
  const answer = new Answer((bytes, taken) =>
    carry(() => {
      taken();
      if (open && !over) events.text(bytes.toString());
    }),
  );
  const broken = (minMs: number, maxMs: number) => {
    if (!open) return;
    open = false;
    forget();
    end(random.between(minMs, maxMs), false);
  };
  const forget = machine.onDeath(() => broken(latencyMs.min, latencyMs.max));
  answer.on('error', () => {});
  answer.once('finish', () =>
    carry(() => {
      forget();
      if (open) end(0, true);
    }),
  );
  answer.once('close', () => carry(() => broken(0, 0)));
  schedule.after(hop(), () => {
    if (!open || !machine.alive) return;
    const request = {
      ...{ method: 'GET', url: path, socket: { remoteAddress: '192.0.2.1' } },
      headers: { authorization: `Bearer ${token}` },
    } as unknown as IncomingMessage;
    void handle(request as never, answer as never, () => carry(() => broken(0, 0)));
  });
  return () => {
    if (!open) return;
    schedule.after(random.between(noticedMs.min, noticedMs.max), () => answer.destroy());
    broken(noticedMs.min, noticedMs.max);
  };
};
