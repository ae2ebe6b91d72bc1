import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConsulAgent, startConsul } from '@skein/components';
import { testConfigStore } from '@skein/config/testing';
import Consul from 'consul';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { consulConfigStore } from '../src/index.ts';

const client = (agent: ConsulAgent): Consul =>
  new Consul({
    host: '127.0.0.1',
    port: agent.ports.http,
    defaults: agent.token ? { token: agent.token } : {},
  });

let agent: ConsulAgent;
let dataDir: string;
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'skein-consul-'));
  agent = await startConsul({ dataDir });
});
afterAll(async () => {
  await agent.stop();
  await rm(dataDir, { recursive: true, force: true });
});

let folders = 0;

testConfigStore('a real Consul', async () => {
  folders += 1;
  const folder = `skein/test-${folders}`;
  const open = () => consulConfigStore(`${agent.httpAddress.replace('http:', 'consul:')}/${folder}`);
  return {
    store: open(),
    other: open(),
    spoil: async () => {
      await client(agent).kv.set(`${folder}/gateway`, 'RATE: [');
    },
    away: () => agent.kill(),
    back: async () => {
      agent = await startConsul({ dataDir, ports: agent.ports });
    },
    lose: async () => {
      await client(agent).kv.del({ key: `${folder}/`, recurse: true });
    },
    stop: async () => {},
  };
});

describe('settings in Consul', () => {
  it('are what a person put there by hand, JSON or YAML, and nothing else of the folder', async () => {
    const { kv } = client(agent);
    await kv.set('skein/config/', '');
    await kv.set('skein/config/gateway', '{"RATE": 5}');
    await kv.set('skein/config/auth', 'MODE: fast # for now\n');
    await kv.set('skein/config/old/gateway', 'RATE: 1');
    const { documents } = await consulConfigStore(agent.httpAddress.replace('http:', 'consul:')).read();
    expect(Object.entries(documents).map(([scope, { settings }]) => [scope, settings])).toEqual([
      ['auth', { MODE: 'fast' }],
      ['gateway', { RATE: 5 }],
    ]);
  });

  it('are read with a token that may only read, and written with one that may write', async () => {
    const guarded = await startConsul({ acl: true });
    try {
      const as = (token: string) =>
        consulConfigStore(`consul://:${token}@127.0.0.1:${guarded.ports.http}/skein/config`);
      const put = async (path: string, body: object) => {
        const response = await fetch(`${guarded.httpAddress}/v1/acl/${path}`, {
          method: 'PUT',
          headers: { 'x-consul-token': guarded.token },
          body: JSON.stringify(body),
        });
        return (await response.json()) as { readonly SecretID: string };
      };
      await put('policy', { Name: 'reader', Rules: 'key_prefix "skein/config/" { policy = "read" }' });
      const reader = as((await put('token', { Policies: [{ Name: 'reader' }] })).SecretID);
      const change = [{ scope: 'all', settings: { MODE: 'fast' }, seen: '' }];
      expect(await as(guarded.token).write(change)).toBe(true);
      const { documents } = await reader.read();
      expect(documents['all']?.settings).toEqual({ MODE: 'fast' });
      const again = [{ ...change[0], scope: 'auth', settings: {}, seen: '' }];
      await expect(reader.write(again)).rejects.toThrow('check the ACL token in CONFIG_URL');
      await expect(as('no-such-token').read()).rejects.toThrow('check the ACL token in CONFIG_URL');
    } finally {
      await guarded.stop();
    }
  });
});
