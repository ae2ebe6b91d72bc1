import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startNats } from '../src/index.ts';

const jetStream = async (monitorUrl: string): Promise<unknown> => (await fetch(`${monitorUrl}/jsz`)).json();

describe('startNats', () => {
  it('gives a server whose JetStream writes to disk before it acknowledges', async () => {
    await using nats = await startNats();
    expect(await jetStream(nats.monitorUrl)).toMatchObject({ config: { sync_always: true } });
  });

  it('comes back at the same address and store after a kill', async () => {
    const storeDir = await mkdtemp(join(tmpdir(), 'skein-nats-store-'));
    try {
      await using first = await startNats({ storeDir });
      await first.kill();
      await expect(jetStream(first.monitorUrl)).rejects.toThrow();
      await using second = await startNats({ storeDir, ports: first.ports });
      expect(second.url).toBe(first.url);
      expect(await readdir(storeDir)).toContain('jetstream');
    } finally {
      await rm(storeDir, { recursive: true, force: true });
    }
  });

  it('says why it does not start', async () => {
    await using nats = await startNats();
    await expect(startNats({ ports: nats.ports })).rejects.toThrow(/address already in use/);
  });
});
