import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { componentPath } from '@skein/components';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ownPlatform } from '../../tools/images/native.ts';
import { services, stageService } from '../../tools/images/stage.ts';
import { openDevice } from './support/device.ts';
import { newPerson, type TestMesh, testMesh } from './support/mesh.ts';

/** Outside the work tree: what a bundle lacks must not be found in a node_modules further up. */
const folder = mkdtempSync(join(tmpdir(), 'skein-bundles-'));
let on: TestMesh;

beforeAll(async () => {
  for (const service of services) {
    await stageService(service, folder, { version: '0.0.0-test', platform: ownPlatform() });
  }
  // With Consul, NATS and traces, because those are in the parts that are loaded later.
  on = await testMesh({
    mesh: true,
    mainOf: (service) => join(folder, service, 'main.mjs'),
    env: {
      CONSOLE_DIR: join(folder, 'gateway/console'),
      // A name, as in compose.yaml.
      DISCOVERY_ADDRESS: 'localhost',
      AGENT_OFFLINE_PACE_MS: '1',
    },
  });
}, 180_000);

afterAll(async () => {
  await on?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}, 90_000);

const got = async (path: string) => {
  const response = await fetch(`${on.url}${path}`, { headers: { accept: 'text/html' } });
  return { status: response.status, body: await response.text() };
};

describe('the bundles of the images, as processes', () => {
  it('answer a message, with a trace through every service on the way', async () => {
    const person = await newPerson(on.url);
    const phone = await openDevice(on.url, 'phone', () => person.accessToken);
    const { turnId } = await phone.say('Hello from a bundle');
    const done = await phone.until('the answer', (frame) => {
      const event = frame['event'] as { type?: string; data?: { turnId?: string } } | undefined;
      return event?.type === 'message.completed' && event.data?.turnId === turnId;
    });
    expect(JSON.stringify(done)).toContain(turnId);
    phone.close();
    const traced = () => new Set(on.mesh.traces?.spans().map((span) => span.service));
    await expect
      .poll(traced, { timeout: 30_000 })
      .toEqual(new Set(services.map((service) => `skein-${service}`)));
  });

  it('serve the web page and the page of the API', async () => {
    expect(await got('/')).toMatchObject({ status: 200, body: expect.stringContaining('/assets/') });
    expect(await got('/docs')).toMatchObject({ status: 200, body: expect.stringContaining('docs.js') });
  });

  it('describe themselves over gRPC', async () => {
    const instances = await fetch(`${on.mesh.consul?.()?.httpAddress}/v1/health/service/auth?passing=true`);
    const [{ Service } = { Service: { Address: '', Port: 0 } }] = (await instances.json()) as {
      Service: { Address: string; Port: number };
    }[];
    const grpcurl = await componentPath('grpcurl');
    const { stdout } = await promisify(execFile)(grpcurl, [
      '-plaintext',
      `${Service.Address}:${Service.Port}`,
      'list',
    ]);
    expect(stdout).toContain('skein.auth.v1.AuthService');
  });

  it('stop by SIGTERM with exit code 0', async () => {
    const user = on.mesh.processes.get('user.1');
    user?.kill('SIGTERM');
    const exited = () => on.lines.find((line) => /^user\.1 {2}\{"kind":"exited"/.test(line));
    await expect.poll(exited, { timeout: 20_000 }).toContain('"code":0');
  });
});
