import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type EmbeddedExit, type EmbeddedPostgres, embeddedPostgres } from '../src/index.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const ask = async (url: string, sql: string): Promise<unknown[]> => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
};

const nextExit = (server: EmbeddedPostgres): Promise<EmbeddedExit> =>
  new Promise((resolve) => {
    const off = server.onExit((exit) => {
      off();
      resolve(exit);
    });
  });

describe('a data directory', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let dataDir: string;
  let servers: EmbeddedPostgres[];
  /** A server on the directory of this test; ended after it. */
  const server = (more: Partial<Parameters<typeof embeddedPostgres>[0]> = {}): EmbeddedPostgres => {
    const made = embeddedPostgres({ dataDir, ...more });
    servers.push(made);
    return made;
  };
  beforeAll(async () => {
    directory = await temporaryDirectory();
  });
  let count = 0;
  beforeEach(() => {
    count += 1;
    dataDir = join(directory.path, `data-${count}`);
    servers = [];
  });
  afterEach(async () => {
    for (const one of servers) await one.stop();
  });
  afterAll(() => directory.remove());

  it('is made on first use and kept over a stop and a start', async () => {
    const first = server();
    expect(first.isAlive()).toBe(false);
    await first.run();
    expect(first.isAlive()).toBe(true);
    await ask(first.url, 'create table kept as select 42 as answer');
    const exit = nextExit(first);
    await first.stop();
    expect(await exit).toEqual({ expected: true });
    expect(first.isAlive()).toBe(false);
    expect(first.pid).toBeUndefined();
    expect(existsSync(new URL(first.url).searchParams.get('host') ?? '')).toBe(false);

    const second = server();
    await second.run();
    expect(second.url).toBe(first.url);
    expect(await ask(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  });

  it('never runs as root, keeps data on disk, listens on no port, and sorts the same everywhere', async () => {
    const one = server();
    await one.run();
    const { uid } = await stat(join(dataDir, 'postmaster.pid'));
    expect(uid).not.toBe(0);
    const [settings] = await ask(
      one.url,
      `select current_setting('fsync') as fsync, current_setting('full_page_writes') as pages,
              current_setting('synchronous_commit') as commits, current_setting('listen_addresses') as addresses,
              current_setting('server_encoding') as encoding, current_setting('data_checksums') as checksums,
              (select datlocale from pg_database where datname = current_database()) as locale`,
    );
    expect(settings).toEqual({
      ...{ fsync: 'on', pages: 'on', commits: 'on', addresses: '', encoding: 'UTF8', checksums: 'on' },
      locale: 'C.UTF-8',
    });
    const socketDir = new URL(one.url).searchParams.get('host') ?? '';
    expect((await stat(socketDir)).mode & 0o777).toBe(0o700);
  });

  it('starts again after its server was killed, and has what was committed', async () => {
    const one = server();
    await one.run();
    await ask(one.url, 'create table kept as select 1 as one');
    const exit = nextExit(one);
    process.kill(one.pid ?? 0, 'SIGKILL');
    expect(await exit).toEqual({ expected: false });
    expect(one.isAlive()).toBe(false);
    await one.run();
    expect(await ask(one.url, 'select one from kept')).toEqual([{ one: 1 }]);
  });

  it('has one server, also when two processes start it at once or the first was left behind', async () => {
    const [one, other] = [server(), server()];
    await Promise.all([one.run(), other.run()]);
    expect(other.pid).toBe(one.pid);
    const later = server();
    await later.run();
    expect(later.pid).toBe(one.pid);
    const exits = [one, other, later].map(nextExit);
    await later.stop();
    expect(later.isAlive()).toBe(false);
    expect(await Promise.all(exits)).toContainEqual({ expected: true });
    expect((await readdir(directory.path)).filter((name) => name.includes('.init-'))).toEqual([]);
  });

  it('is not held up by a stale pid file, even when its process id belongs to somebody else now', async () => {
    const one = server();
    await one.run();
    const pidFile = await readFile(join(dataDir, 'postmaster.pid'), 'utf8');
    await one.stop();
    // A process of the same user, which is what stops PostgreSQL.
    const { uid, gid } = await stat(dataDir);
    const somebody = spawn('sleep', ['600'], process.getuid?.() === 0 ? { uid, gid } : {});
    await once(somebody, 'spawn');
    await writeFile(join(dataDir, 'postmaster.pid'), pidFile.replace(/^\d+/, String(somebody.pid)));
    await one.run();
    expect(one.isAlive()).toBe(true);
    expect(one.pid).not.toBe(somebody.pid);
    somebody.kill();
  });

  it('leads a process group of its own, so Ctrl-C in a terminal does not stop it before the services', async () => {
    const one = server();
    await one.run();
    // A negative id asks for a group of that name.
    expect(process.kill(-(one.pid ?? 0), 0)).toBe(true);
  });

  it('opens a port on this machine only on request, with a password that only its owner can read', async () => {
    // Not in use now; the kernel picks from another range.
    const port = 20_000 + (process.pid % 10_000);
    const plain = server();
    await plain.run();
    expect(plain.tcpUrl).toBeUndefined();
    // The one that runs has no port, so it is replaced.
    const withPort = server({ port });
    await withPort.run();
    expect(await ask(withPort.tcpUrl ?? '', 'select 1 as one')).toEqual([{ one: 1 }]);
    expect(await ask(withPort.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    await expect(ask(`postgres://skein:guess@127.0.0.1:${port}/skein`, 'select 1')).rejects.toMatchObject({
      code: '28P01',
    });
    expect((await stat(join(dataDir, 'tcp-password'))).mode & 0o777).toBe(0o600);
  });

  it('is refused when it holds something else', async () => {
    await mkdir(dataDir);
    await writeFile(join(dataDir, 'letter.txt'), 'dear');
    await expect(server().run()).rejects.toThrow('is not empty and holds no database');
    expect(existsSync(join(dataDir, 'letter.txt'))).toBe(true);
  });

  it('is refused when another major version made it', async () => {
    await mkdir(dataDir);
    await writeFile(join(dataDir, 'PG_VERSION'), '15\n');
    await expect(server().run()).rejects.toThrow('was made by PostgreSQL 15');
  });

  it('tells why the server did not start, and leaves no directory in /tmp', async () => {
    const one = server({ settings: { shared_buffers: 'much' } });
    await expect(one.run()).rejects.toThrow(/did not start: .*invalid value for parameter "shared_buffers"/);
    expect(existsSync(new URL(one.url).searchParams.get('host') ?? '')).toBe(false);
  });

  it('puts the socket where its path is short enough', async () => {
    const deep = join(directory.path, 'x'.repeat(90));
    await mkdir(deep);
    vi.stubEnv('TMPDIR', deep);
    const one = server();
    await one.run();
    expect(await ask(one.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    await one.stop();
    vi.unstubAllEnvs();
  });
});
