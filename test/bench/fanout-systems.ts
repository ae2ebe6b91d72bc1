import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { newPerson, type Person, type TestMesh, testMesh } from '../e2e/support/mesh.ts';
import { centrifugo, centrifugoLabel } from './centrifugo.ts';
import type { Dialect } from './fanout-receivers.ts';
import { pin } from './measure-process.ts';

/** A server under test and its publisher. */
export interface System {
  readonly name: string;
  /** What it keeps of a text before it is sent. */
  readonly kept: string;
  /** The process that fans out. */
  readonly pid: number;
  readonly dialect: Dialect;
  /** Sends one text to everybody, without waiting. */
  publish(text: string): void;
  /** What the publisher was answered since the last call: how many committed or sent, the last number given. */
  published(): { readonly done: number; readonly failed: string[]; readonly last: number };
  close(): Promise<void>;
}

/** The core that the measured server has, and the one where everything else runs. */
export const cores = { server: 0, rest: 1 };

const opened = async (url: string): Promise<WebSocket> => {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  await once(socket, 'open');
  return socket;
};

/** `ws` or socket.io in a process of its own on the server's core. */
export const peer = async (kind: 'ws' | 'socket.io'): Promise<System> => {
  const child: ChildProcess = fork(fileURLToPath(new URL('./fanout-peer.ts', import.meta.url)), [kind]);
  const [port] = (await once(child, 'message')) as [number];
  const pid = child.pid ?? 0;
  pin(pid, cores.server);
  const plain = kind === 'ws';
  const path = plain ? '/' : '/socket.io/?EIO=4&transport=websocket';
  const publisher = new WebSocket(`ws://127.0.0.1:${port}${path}`, { perMessageDeflate: false });
  let failed: string[] = [];
  publisher.on('close', (code) => failed.push(`closed ${code}`));
  if (plain) await once(publisher, 'open');
  else {
    // engine.io opens, asks for the namespace, then asks now and then whether we are there.
    await new Promise<void>((resolve) => {
      publisher.on('message', (data) => {
        const text = String(data);
        if (text.startsWith('0')) publisher.send('40');
        else if (text.startsWith('40')) resolve();
        else if (text === '2') publisher.send('3');
      });
    });
  }
  let sent = 0;
  let done = 0;
  return {
    name: kind,
    kept: 'nothing',
    pid,
    dialect: { port, path, order: 'N=', opened: plain ? '' : '40' },
    publish: (text) => {
      sent += 1;
      done += 1;
      publisher.send(plain ? text : `42["m","${text}"]`);
    },
    published: () => {
      const now = { done, failed, last: sent };
      done = 0;
      failed = [];
      return now;
    },
    close: async () => {
      publisher.removeAllListeners('close');
      publisher.terminate();
      child.disconnect();
      await once(child, 'exit');
    },
  };
};

/** Centrifugo with one channel that everybody is in; undefined where it cannot be built. */
export const centrifugoFanOut = async (): Promise<System | undefined> => {
  const server = await centrifugo(cores.server);
  if (!server) return undefined;
  const channel = 'space';
  const path = '/connection/websocket';
  const hello = () => server.hello('bench', [channel]);
  const publisher = await opened(`ws://127.0.0.1:${server.port}${path}`);
  const letIn = once(publisher, 'message');
  publisher.send(hello());
  await letIn;
  let failed: string[] = [];
  let sent = 0;
  let done = 0;
  publisher.on('close', (code) => failed.push(`closed ${code}`));
  publisher.on('message', (data) => {
    for (const line of String(data).split('\n')) {
      if (line === '{}') publisher.send(line);
      else if (line.startsWith('{"id"')) {
        if (line.includes('"error"')) failed.push(line);
        else done += 1;
      }
    }
  });
  return {
    name: centrifugoLabel,
    kept: '100 texts in memory',
    pid: server.pid,
    dialect: { port: server.port, path, hello, order: 'N=', opened: '"connect"' },
    publish: (text) => {
      sent += 1;
      publisher.send(JSON.stringify({ id: sent + 1, publish: { channel, data: text } }));
    },
    published: () => {
      const now = { done, failed, last: sent };
      done = 0;
      failed = [];
      return now;
    },
    close: async () => {
      publisher.removeAllListeners('close');
      publisher.terminate();
      await server.stop();
    },
  };
};

/** Limits that a benchmark from one address would run into, raised; argon2 as cheap as auth allows. */
export const benchEnvironment: Readonly<Record<string, string>> = {
  LOG_LEVEL: 'warn',
  SOCKETS_PER_PERSON: '10000',
  UNAUTHENTICATED_PER_ADDRESS: '20000',
  MESSAGES_PER_SECOND: '100000',
  MESSAGES_BURST: '100000',
  REQUESTS_PER_SECOND: '100000',
  ANONYMOUS_PER_SECOND: '100000',
  LOGINS_PER_MINUTE: '100000',
  REGISTRATIONS_PER_HOUR: '100000',
  AUTH_LOGINS_PER_MINUTE: '10000',
  AUTH_ARGON2_MEMORY_KIB: '1024',
  AUTH_ARGON2_PASSES: '1',
  AUTH_HASH_QUEUE: '1000',
};

/** First frame of a device that follows its person's own space from the head, or nothing at all. */
export const helloOf = (token: string, device: string, streams?: readonly object[]): string =>
  JSON.stringify({ type: 'hello', v: 1, token, device: { id: device, platform: 'cli' }, streams });

/** The whole embedded mesh: the gateway on the server's core, everything else where we are. */
export interface Ours extends System {
  readonly mesh: TestMesh;
  readonly person: Person;
  /** Open connections by the gateway's own count. */
  connections(): Promise<number>;
}

/** Publishers send one message after the other each; so many hide the time of a commit. */
const publishers = 32;

/** Starts our mesh and connects its publishers. Messages ask for no answer. */
export const ours = async (env: Readonly<Record<string, string>> = {}): Promise<Ours> => {
  const mesh = await testMesh({ env: { ...benchEnvironment, ...env } });
  const pid = mesh.mesh.processes.get('gateway')?.pid ?? 0;
  pin(pid, cores.server);
  const person = await newPerson(mesh.url);
  let done = 0;
  let last = 0;
  let failed: string[] = [];
  let sent = 0;
  const sockets = await Promise.all(
    Array.from({ length: publishers }, async (_, at) => {
      const socket = await opened(`${mesh.url.replace('http', 'ws')}/v1/connect`);
      const welcome = once(socket, 'message');
      socket.send(helloOf(person.accessToken, `publisher-${at}`, []));
      await welcome;
      socket.on('message', (data) => {
        const frame = JSON.parse(String(data)) as { type: string; offset?: number; code?: string };
        if (frame.type === 'result') {
          done += 1;
          last = Math.max(last, frame.offset ?? 0);
        } else if (frame.type === 'error') failed.push(frame.code ?? '');
      });
      socket.on('close', (code) => failed.push(`closed ${code}`));
      return socket;
    }),
  );
  return {
    name: 'skein',
    kept: 'committed to Postgres',
    pid,
    mesh,
    person,
    dialect: {
      port: Number(new URL(mesh.url).port),
      path: '/v1/connect',
      hello: (n) => helloOf(person.accessToken, `device-${n}`),
      order: '"offset":',
      opened: '"welcome"',
    },
    publish: (text) => {
      sent += 1;
      sockets[sent % publishers]?.send(
        JSON.stringify({
          type: 'message',
          id: sent,
          space: 'personal',
          clientMessageId: `bench-${process.pid}-${sent}`,
          text,
          reply: false,
        }),
      );
    },
    published: () => {
      const now = { done, failed, last };
      done = 0;
      failed = [];
      return now;
    },
    connections: async () => {
      // `testMesh` puts the first management port, the gateway's, forty above the public one.
      const management = Number(new URL(mesh.url).port) + 40;
      const text = await (await fetch(`http://127.0.0.1:${management}/metrics`)).text();
      return Number(/^gateway_connections\S* (\d+)/m.exec(text)?.[1]);
    },
    close: async () => {
      for (const socket of sockets) {
        socket.removeAllListeners('close');
        socket.terminate();
      }
      await mesh[Symbol.asyncDispose]();
    },
  };
};
