import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { encodeHlc } from '@skein/sync-core';
import { newPerson, type Person, testMesh } from '../e2e/support/mesh.ts';
import { centrifugo, centrifugoLabel } from './centrifugo.ts';
import type { Speech } from './devices-senders.ts';
import type { Dialect } from './fanout-receivers.ts';
import { benchEnvironment, cores, helloOf } from './fanout-systems.ts';
import { pin } from './measure-process.ts';

/** A server that keeps the devices of each person together. */
export interface DevicesSystem {
  readonly name: string;
  /** What it keeps before another device has it. */
  readonly kept: string;
  /** The processes that share the measured core. */
  readonly pids: ReadonlyMap<string, number>;
  readonly speech: Speech;
  /** Of the other devices: number n belongs to person n ÷ `others`. */
  readonly dialect: Dialect;
  close(): Promise<void>;
}

/** Devices of a person beside the one that writes. */
export const others = 2;
const personOf = (device: number): number => Math.floor(device / others);

/** People who sign up at the same time. */
const abreast = 16;

const signedUp = async (url: string, people: number): Promise<Person[]> => {
  const all: Person[] = [];
  let next = 0;
  const lane = async () => {
    while (next < people) {
      const at = next;
      next += 1;
      all[at] = await newPerson(url);
    }
  };
  await Promise.all(Array.from({ length: abreast }, lane));
  return all;
};

/** The embedded mesh; gateway and session-sync share the measured core, Postgres and the rest are with the load. */
export const skein = async (people: number): Promise<DevicesSystem> => {
  const mesh = await testMesh({ env: benchEnvironment });
  const pids = new Map(
    ['gateway', 'session-sync'].map((name) => [name, mesh.mesh.processes.get(name)?.pid ?? 0]),
  );
  const all = await signedUp(mesh.url, people);
  for (const pid of pids.values()) pin(pid, cores.server);
  const token = (person: number) => all[person]?.accessToken ?? '';
  return {
    name: 'skein',
    kept: 'committed to Postgres',
    pids,
    speech: {
      url: `${mesh.url.replace('http', 'ws')}/v1/connect`,
      hello: (person) => helloOf(token(person), 'phone'),
      opened: '"welcome"',
      perFrame: 100,
      frame: (_, texts, sent) =>
        JSON.stringify({
          type: 'mutate',
          id: 1,
          space: 'personal',
          mutations: texts.map((text, at) => ({
            seq: sent + at + 1,
            collection: 'task',
            id: 'note',
            // The only writer of it: what it has not seen of its own is no conflict.
            baseVersion: sent,
            ops: [{ op: 'set', path: ['text'], value: text }],
            hlc: encodeHlc({ ms: Date.now(), counter: at, device: 'phone' }),
          })),
        }),
      answer: (frame) => {
        if (frame.startsWith('{"type":"result"')) {
          const refused = /"outcome":"(rejected|conflict|stale)"/.exec(frame);
          return refused ? { refused: refused[1] ?? '' } : 'taken';
        }
        const error = /^\{"type":"error".*?"code":"(\w+)"/.exec(frame);
        return error ? { refused: error[1] ?? '' } : undefined;
      },
    },
    dialect: {
      port: Number(new URL(mesh.url).port),
      path: '/v1/connect',
      hello: (n) => helloOf(token(personOf(n)), `device-${n % others}`),
      order: 'N=',
      opened: '"welcome"',
    },
    close: async () => {
      await mesh[Symbol.asyncDispose]();
    },
  };
};

/** A loop over `ws`. */
export const relay = async (): Promise<DevicesSystem> => {
  const child = fork(fileURLToPath(new URL('./devices-peer.ts', import.meta.url)));
  const [port] = (await once(child, 'message')) as [number];
  const pid = child.pid ?? 0;
  pin(pid, cores.server);
  return {
    name: 'bare ws relay',
    kept: 'nothing',
    pids: new Map([['relay', pid]]),
    speech: {
      url: `ws://127.0.0.1:${port}`,
      hello: String,
      opened: 'opened',
      perFrame: 1,
      frame: (_, [text = '']) => text,
      answer: undefined,
    },
    dialect: {
      port,
      path: '/',
      hello: (n) => String(personOf(n)),
      order: 'N=',
      opened: 'opened',
    },
    close: async () => {
      child.disconnect();
      await once(child, 'exit');
    },
  };
};

/** Centrifugo with a channel a person, published to over the person's own socket; undefined where there is no Go. */
export const centrifugoDevices = async (): Promise<DevicesSystem | undefined> => {
  const server = await centrifugo(cores.server);
  if (!server) return undefined;
  const hello = (person: number) => server.hello(`u${person}`, [`p${person}`]);
  const path = '/connection/websocket';
  return {
    name: centrifugoLabel,
    kept: '100 texts a channel in memory',
    pids: new Map([['centrifugo', server.pid]]),
    speech: {
      url: `ws://127.0.0.1:${server.port}${path}`,
      hello,
      opened: '"connect"',
      perFrame: 1,
      frame: (person, [text], sent) =>
        JSON.stringify({ id: sent + 2, publish: { channel: `p${person}`, data: text } }),
      answer: (frame) => {
        if (frame.startsWith('{"id"')) return frame.includes('"error"') ? { refused: frame } : 'taken';
        return undefined;
      },
    },
    dialect: {
      port: server.port,
      path,
      hello: (n) => hello(personOf(n)),
      order: 'N=',
      opened: '"connect"',
    },
    close: server.stop,
  };
};
