import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { dumpPostgres, type NatsServer, restorePostgres, startNats } from '@skein/components';
import { type LocalMesh, localMesh } from '@skein/launcher';
import { type TestCluster, testCluster } from '@skein/postgres/testing';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Device, openDevice } from './support/device.ts';
import { freeBlock, newPerson, type Person } from './support/mesh.ts';

const giveUpMs = 120_000;
const operatorEmail = 'operator@example.test';
const skein = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));

let dataDir: string;
let base: number;
let first: TestCluster;
let second: TestCluster;
let nats: NatsServer;
let mesh: LocalMesh;
let person: Person;
let phone: Device;
let laptop: Device;
const lines: string[] = [];

/** The same mesh on another database: same data directory, secrets, ports and broker. */
const start = async (databaseUrl: string): Promise<LocalMesh> => {
  const made = localMesh({
    ...{ dataDir, mesh: false, port: base, grpcPort: base + 20, managementPort: base + 40 },
    env: {
      ...process.env,
      ...{ DATABASE_URL: databaseUrl, EVENTS_URL: nats.url, SKEIN_OPERATOR_EMAIL: operatorEmail },
      ...{ AGENT_OFFLINE_PACE_MS: '1', AUTH_ARGON2_MEMORY_KIB: '1024', LOG_LEVEL: 'info' },
      // The load of these drills comes from one address.
      ...{ REGISTRATIONS_PER_HOUR: '100000', ANONYMOUS_PER_SECOND: '1000', REQUESTS_PER_SECOND: '1000' },
    },
    told: (name, event) => lines.push(`${name}  ${event.kind === 'line' ? event.line : event.kind}`),
  });
  await made.run();
  return made;
};

const sql = async (url: string, text: string): Promise<void> => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
};

/** Runs the command as an operator does; resolves with what it printed. */
const run = async (args: readonly string[], env: Readonly<Record<string, string>>): Promise<string> => {
  const { stdout } = await promisify(execFile)(process.execPath, [skein, ...args], {
    env: { PATH: process.env['PATH'], ...env },
  });
  return stdout;
};

const register = async (email: string): Promise<{ id: string; accessToken: string }> => {
  const response = await fetch(`${mesh.url}/v1/auth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email, password: crypto.randomUUID() }),
  });
  const body = (await response.json()) as { user: { id: string }; accessToken: string };
  if (response.status !== 201) throw new Error(`register: ${response.status} ${JSON.stringify(body)}`);
  return { id: body.user.id, accessToken: body.accessToken };
};

const get = async (path: string, token: string): Promise<unknown> => {
  const response = await fetch(`${mesh.url}${path}`, { headers: { authorization: `Bearer ${token}` } });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
};

/** How often somebody was welcomed: an effect of user on an event of auth. */
const welcomes = async ({ accessToken }: { readonly accessToken: string }): Promise<number> => {
  const { items } = (await get('/v1/me/notices', accessToken)) as { items: { kind: string }[] };
  return items.filter(({ kind }) => kind === 'welcome').length;
};

const expectWelcomes = async (people: readonly { readonly accessToken: string }[]): Promise<void> => {
  for (const one of people)
    await expect.poll(() => welcomes(one).catch(String), { timeout: giveUpMs }).toBe(1);
};

/** People register one after the other until it is stopped. */
const registering = () => {
  let stopping = false;
  const people: Person[] = [];
  const done = (async () => {
    while (!stopping) people.push(await newPerson(mesh.url));
  })();
  return {
    people,
    reaches: (count: number) =>
      expect.poll(() => people.length, { timeout: giveUpMs }).toBeGreaterThanOrEqual(count),
    stop: async () => {
      stopping = true;
      await done;
      return people;
    },
  };
};

const answered = async (text: string): Promise<void> => {
  const { turnId } = await phone.say(text);
  const ends = (frame: Record<string, unknown>) => {
    const event = frame['event'] as { type?: string; data?: { turnId?: string } } | undefined;
    return event?.type === 'message.completed' && event.data?.turnId === turnId;
  };
  await Promise.all([phone, laptop].map((device) => device.until(`the answer to ${text}`, ends)));
};

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'skein-events-'));
  await chmod(dataDir, 0o755);
  base = await freeBlock();
  [first, second, nats] = await Promise.all([testCluster(), testCluster(), startNats()]);
  mesh = await start(first.url);
  person = await newPerson(mesh.url);
  const token = () => person.accessToken;
  [phone, laptop] = await Promise.all([
    openDevice(mesh.url, 'phone', token),
    openDevice(mesh.url, 'laptop', token),
  ]);
}, 180_000);

afterAll(async () => {
  phone?.close();
  laptop?.close();
  await mesh?.stop();
  await nats?.stop();
  await Promise.all([first?.stop(), second?.stop()]);
  await rm(dataDir, { recursive: true, force: true });
}, 90_000);

describe('domain events', () => {
  it('are all delivered again, with their effects once, when the broker loses its store under load', async () => {
    const load = registering();
    await load.reaches(5);
    await nats.kill();
    await rm(nats.storeDir, { recursive: true, force: true });
    await load.reaches(10);
    nats = await startNats({ ports: nats.ports });
    await load.reaches(15);
    const people = await load.stop();
    await answered('Are you there?');
    await expectWelcomes([person, ...people]);
    // And none comes late a second time.
    const last = await newPerson(mesh.url);
    await expectWelcomes([last, ...people]);
  }, 240_000);

  it('that a consumer cannot handle become dead letters, and have their effect when an operator retries', async () => {
    await sql(
      first.url,
      `create function "user".poison() returns trigger language plpgsql as $$ begin
         if exists (select 1 from auth.accounts a where a.id = new.user_id and a.email like 'poison%') then
           raise exception 'poison';
         end if;
         return new;
       end $$;
       create trigger poison before insert on "user".notices for each row execute function "user".poison()`,
    );
    const operator = await register(operatorEmail);
    const env = { SKEIN_URL: mesh.url, SKEIN_TOKEN: operator.accessToken };
    const poisoned = await register(`poison-${crypto.randomUUID()}@example.test`);
    const fine = await newPerson(mesh.url);
    const list = async () =>
      (await run(['dead-letters', 'list', '--json'], env))
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as { id: string; consumer: string; subject: string; error: string });
    await expect
      .poll(list, { timeout: giveUpMs, interval: 1_000 })
      .toMatchObject([{ consumer: 'user-accounts', subject: poisoned.id, error: 'error: poison' }]);
    const [letter] = await list();
    // It blocked nobody.
    await expectWelcomes([fine]);
    const retry = () =>
      run(['dead-letters', 'retry', letter?.id ?? '', '--reason', 'the trigger is gone'], env);
    await expect(retry()).rejects.toMatchObject({ code: 1, stdout: expect.stringContaining('failed') });
    await sql(first.url, 'drop trigger poison on "user".notices');
    expect(await retry()).toContain('done');
    expect(await list()).toEqual([]);
    expect(await welcomes(poisoned)).toBe(1);
    // A person is no operator.
    await expect(
      run(['dead-letters', 'list'], { ...env, SKEIN_TOKEN: fine.accessToken }),
    ).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('lacks the scope operator') });
  }, 240_000);

  it('and clients survive a database that was dumped under load and restored on another server', async () => {
    const file = join(dataDir, 'dump.sql');
    const load = registering();
    let talking = true;
    const talk = (async () => {
      for (let count = 1; talking; count += 1) await answered(`Message ${count}`);
    })();
    await load.reaches(5);
    const dumped = load.people.length;
    await dumpPostgres(first.url, file);
    await load.reaches(load.people.length + 5);
    talking = false;
    await talk;
    const people = await load.stop();
    // Devices and broker know more than the copy.
    await answered('This will be lost');
    const ahead = phone.position?.offset ?? 0;
    await mesh.stop();
    await restorePostgres(second.url, file);

    const before = lines.length;
    mesh = await start(second.url);
    const refused = () => lines.slice(before).filter((line) => line.includes('skein db reanchor'));
    for (const relay of ['auth', 'session-sync'])
      await expect
        .poll(() => refused().find((line) => line.includes(`the relay ${relay} publishes nothing`)), {
          timeout: giveUpMs,
        })
        .toBeDefined();
    const meanwhile = await newPerson(mesh.url);
    await mesh.stop();

    const told = await run(['db', 'reanchor', '--reason', 'restored from a dump', '--json'], {
      DATABASE_URL: second.url,
    });
    expect(
      told
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual(['agent', 'auth', 'session_sync', 'user'].map((schema) => ({ schema, era: 2 })));

    const restarted = lines.length;
    mesh = await start(second.url);
    const space = (await get('/v1/spaces/personal', person.accessToken)) as { epoch: string; head: number };
    expect(space.head).toBeLessThan(ahead);
    for (const device of [phone, laptop])
      await expect.poll(() => device.snapshot?.epoch, { timeout: giveUpMs }).toBe(space.epoch);
    await answered('Is everything here?');
    await expect.poll(() => laptop.position, { timeout: giveUpMs }).toEqual(phone.position);
    expect(laptop.snapshot?.stateHash).toBe(phone.snapshot?.stateHash);
    // Everybody in the copy is welcomed once, whether that was before, while or after it was made.
    const kept: Person[] = [];
    for (const one of people) if (await get('/v1/me', one.accessToken).catch(() => false)) kept.push(one);
    expect(kept.length).toBeGreaterThanOrEqual(dumped);
    expect(kept.length).toBeLessThan(people.length);
    await expectWelcomes([person, ...kept, meanwhile, await newPerson(mesh.url)]);
    expect(lines.slice(restarted).filter((line) => line.includes('skein db reanchor'))).toEqual([]);
  }, 300_000);
});
