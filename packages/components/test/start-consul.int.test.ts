import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ConsulAgent, startConsul } from '../src/index.ts';

const put = (consul: ConsulAgent, key: string, value: string, token = consul.token) =>
  fetch(`${consul.httpAddress}/v1/kv/${key}`, {
    method: 'PUT',
    body: value,
    headers: { 'x-consul-token': token },
  });
const get = (consul: ConsulAgent, key: string) => fetch(`${consul.httpAddress}/v1/kv/${key}?raw`);

describe('startConsul', () => {
  it('gives an agent that takes writes', async () => {
    await using consul = await startConsul();
    expect(await (await put(consul, 'a', '1')).json()).toBe(true);
    expect(await (await get(consul, 'a')).text()).toBe('1');
  });

  it('comes back at the same address after a kill, with nothing in its memory', async () => {
    await using first = await startConsul();
    await put(first, 'a', '1');
    await first.kill();
    await expect(get(first, 'a')).rejects.toThrow();

    await using second = await startConsul({ ports: first.ports });
    expect(second.httpAddress).toBe(first.httpAddress);
    expect((await get(second, 'a')).status).toBe(404);
  });

  it('keeps its data over a kill when it has a directory', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'skein-consul-data-'));
    try {
      await using first = await startConsul({ dataDir });
      await put(first, 'a', '1');
      await first.kill();
      await using second = await startConsul({ dataDir, ports: first.ports });
      expect(await (await get(second, 'a')).text()).toBe('1');
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  it('denies everything without a token when ACLs are on', async () => {
    await using consul = await startConsul({ acl: true });
    expect((await put(consul, 'a', '1', '')).status).toBe(403);
    expect((await put(consul, 'a', '1')).status).toBe(200);
  });

  it('says why it does not start', async () => {
    await using consul = await startConsul();
    await expect(startConsul({ ports: consul.ports })).rejects.toThrow(/address already in use/);
  });
});
