import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** What came in since the last `reset`; times in milliseconds from the scheduled moment. */
export interface Received {
  readonly received: number;
  readonly bytes: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  /** The lowest number that any reading socket is at. */
  readonly lowest: number;
  readonly open: number;
  readonly gone: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
  /** The same from the moment an event was decided, just before its commit; 0 where a server does not say. */
  readonly decidedP50: number;
  readonly decidedP99: number;
}

/** Sockets in a process of their own. */
export interface Receivers {
  readonly pid: number;
  reset(): Promise<void>;
  /** Everything up to the number `upTo` should have come. */
  report(upTo: number): Promise<Received>;
  progress(): Promise<{ readonly received: number; readonly lowest: number }>;
  /** The first `count` sockets stop reading, for good. */
  stall(count: number): Promise<void>;
  close(): void;
}

/** How a server wants to be spoken to. */
export interface Dialect {
  readonly port: number;
  readonly path: string;
  /** First frame of socket n. */
  readonly hello?: (n: number) => string;
  /** Text before the number that grows by one with every frame. */
  readonly order: string;
  /** Text of the frame with which the server lets a socket in; empty: the upgrade is enough. */
  readonly opened: string;
}

const source = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** The command that runs receivers: compiled C++ where there is `g++`, else Node. */
export const receiverProgram = (folder: string): { command: readonly string[]; language: string } => {
  const binary = join(folder, 'receivers');
  try {
    mkdirSync(folder, { recursive: true });
    execFileSync('g++', ['-O2', '-o', binary, source('fanout-receivers.cpp')]);
    return { command: [binary], language: 'C++' };
  } catch {
    // No compiler: slower receivers, said so in the table.
    return { command: [process.execPath, source('fanout-reader.ts')], language: 'Node' };
  }
};

const openWithinMs = 60_000;

/** Opens `count` sockets; resolves when all are let in. */
export const openReceivers = async (
  program: readonly string[],
  folder: string,
  dialect: Dialect,
  count: number,
): Promise<Receivers> => {
  const { port, path, hello, order, opened } = dialect;
  const hellos = join(folder, `hellos-${port}-${count}`);
  writeFileSync(hellos, hello ? Array.from({ length: count }, (_, n) => hello(n)).join('\n') : '', {
    mode: 0o600,
  });
  const [command = '', ...args] = program;
  const child: ChildProcess = spawn(
    command,
    [...args, String(port), path, hellos, order, opened, String(count)],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const waiting: ((line: string) => void)[] = [];
  if (!child.stdout || !child.pid) throw new Error('the receivers did not start');
  createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.(line));
  const next = () => new Promise<string>((resolve) => waiting.push(resolve));
  const ask = async (line: string): Promise<unknown> => {
    child.stdin?.write(`${line}\n`);
    return JSON.parse(await next());
  };
  const late = setTimeout(() => child.kill(), openWithinMs);
  const ended = new Promise<never>((_, reject) =>
    child.once('exit', () => reject(new Error(`not all of ${count} sockets could be opened`))),
  );
  ended.catch(() => {});
  const line = await Promise.race([next(), ended]);
  clearTimeout(late);
  rmSync(hellos);
  if (line !== `open ${count}`) throw new Error(`of ${count} sockets: ${line}`);
  return {
    pid: child.pid,
    reset: async () => {
      await ask('reset');
    },
    report: async (upTo) => (await ask(`report ${upTo}`)) as Received,
    progress: async () => (await ask('progress')) as { received: number; lowest: number },
    stall: async (n) => {
      await ask(`stall ${n}`);
    },
    close: () => {
      child.stdin?.end();
    },
  };
};
