import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import WebSocket from 'ws';

/** How the first device of a person speaks to a server. */
export interface Speech {
  readonly url: string;
  hello(person: number): string;
  /** Text of the frame that lets the device in. */
  readonly opened: string;
  /** Texts that fit one frame. */
  readonly perFrame: number;
  /** One frame of these texts; `sent` counts what the server took from this device before. */
  frame(person: number, texts: readonly string[], sent: number): string;
  /** Whether a frame answers the last one: taken, or to be sent again; undefined for any other frame. */
  readonly answer: ((frame: string) => 'taken' | { readonly refused: string } | undefined) | undefined;
}

/** The first devices of everybody. What cannot be sent yet waits in its device, as an offline queue does. */
export interface Senders {
  send(person: number, text: string): void;
  /** What was taken since the last call, what still waits, why something was refused. */
  progress(): { readonly taken: number; readonly waiting: number; readonly refused: readonly string[] };
  close(): void;
}

/** Sockets that open at the same time. */
const abreast = 16;
/** Before what was refused is sent again. */
const againMs = 250;

interface Sender {
  readonly socket: WebSocket;
  readonly waiting: string[];
  underWay: number;
  /** What is under way. */
  frame: string;
  sent: number;
}

/** Connects the first device of each person. */
export const openSenders = async (people: number, speech: Speech): Promise<Senders> => {
  let taken = 0;
  let refused: string[] = [];
  const senders: Sender[] = [];

  const flush = (person: number, one: Sender) => {
    if (one.underWay > 0 || one.waiting.length === 0) return;
    const texts = one.waiting.slice(0, speech.perFrame);
    one.underWay = texts.length;
    one.frame = speech.frame(person, texts, one.sent);
    one.socket.send(one.frame);
    if (!speech.answer) accept(person, one);
  };

  const accept = (person: number, one: Sender) => {
    const many = one.underWay;
    one.underWay = 0;
    one.waiting.splice(0, many);
    one.sent += many;
    taken += many;
    flush(person, one);
  };

  const heard = (person: number, one: Sender, frame: string) => {
    const answer = speech.answer?.(frame);
    if (answer === undefined) return;
    if (answer === 'taken') {
      accept(person, one);
      return;
    }
    refused.push(answer.refused);
    // The very same again: it may have been done.
    void pause(againMs).then(() => one.socket.send(one.frame));
  };

  const open = async (person: number): Promise<void> => {
    const socket = new WebSocket(speech.url, { perMessageDeflate: false });
    await once(socket, 'open');
    const one: Sender = { socket, waiting: [], underWay: 0, frame: '', sent: 0 };
    socket.send(speech.hello(person));
    for (;;) {
      const [data] = await once(socket, 'message');
      if (String(data).includes(speech.opened)) break;
    }
    socket.on('message', (data) => {
      // Centrifugo joins what waits, a line each, and asks now and then whether we are there.
      for (const frame of String(data).split('\n')) {
        if (frame === '{}') socket.send(frame);
        else heard(person, one, frame);
      }
    });
    socket.on('close', (code) => refused.push(`closed ${code}`));
    senders[person] = one;
  };

  let next = 0;
  const lane = async () => {
    while (next < people) {
      next += 1;
      await open(next - 1);
    }
  };
  await Promise.all(Array.from({ length: abreast }, lane));
  return {
    send: (person, text) => {
      const one = senders[person];
      if (!one) return;
      one.waiting.push(text);
      flush(person, one);
    },
    progress: () => {
      const waiting = senders.reduce((sum, one) => sum + one.waiting.length, 0);
      const now = { taken, waiting, refused };
      taken = 0;
      refused = [];
      return now;
    },
    close: () => {
      for (const { socket } of senders) {
        socket.removeAllListeners('close');
        socket.terminate();
      }
    },
  };
};
