import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newPerson, type TestMesh, testMesh } from './support/mesh.ts';

const readme = new URL('../../README.md', import.meta.url);

let on: TestMesh;
let folder: string;

beforeAll(async () => {
  on = await testMesh({ env: { AGENT_OFFLINE_PACE_MS: '1' } });
  folder = await mkdtemp(join(tmpdir(), 'skein-readme-'));
}, 120_000);

afterAll(async () => {
  await on?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

describe('the first screen of the README', () => {
  it('has a code sample that runs as it stands: it prints the streamed answer and ends by itself', async () => {
    const page = await readFile(readme, 'utf8');
    const samples = [...page.matchAll(/^```js\n(.*?)^```$/gms)];
    expect(samples).toHaveLength(1);
    expect(page).toContain('SKEIN_EMAIL=demo@skein.localhost SKEIN_PASSWORD=… npx node hello.mjs');
    const file = join(folder, 'sample.mjs');
    await writeFile(file, samples[0]?.[1] ?? '');
    const person = await newPerson(on.url);
    // Rejects when the exit code is not 0 or the sample does not end in time.
    const { stdout, stderr } = await promisify(execFile)('npx', ['node', file], {
      cwd: new URL('../..', import.meta.url),
      env: {
        PATH: process.env['PATH'],
        ...{ SKEIN_URL: on.url, SKEIN_EMAIL: person.email, SKEIN_PASSWORD: person.password },
      },
      timeout: 30_000,
    });
    expect(stderr).toBe('');
    expect(stdout).toContain('offline');
    const answer = await lastAnswer(person.accessToken);
    expect(stdout).toBe(answer);
  }, 60_000);
});

/** The answer as it is kept: what was streamed must be the same text. */
const lastAnswer = async (accessToken: string): Promise<string | undefined> => {
  const response = await fetch(`${on.url}/v1/spaces/personal/events?limit=1000`, {
    headers: { authorization: `Bearer ${accessToken}` },
  });
  const { events } = (await response.json()) as { events: { type: string; data: { text?: string } }[] };
  return events.findLast((event) => event.type === 'message.completed')?.data.text;
};
