import { afterAll, describe, expect, it } from 'vitest';
import { type Answer, ask, getJson, kubectl } from './support/program.ts';
import { chartArguments, installChart, plain } from './support/stack.ts';
import { useStack } from './support/use-stack.ts';

useStack(plain);

const { namespace, release } = plain;
const deployment = `${release}-user`;

const upgrade = (...more: readonly string[]): Promise<Answer> =>
  ask('helm', ['upgrade', ...chartArguments(plain), ...more, '--wait', '--timeout=300s'], {
    timeoutMs: 330_000,
  });

const wanted = async (): Promise<number> =>
  (await getJson<{ spec: { replicas: number } }>('deployment', deployment, '-n', namespace)).spec.replicas;

describe('"kubectl scale"', () => {
  afterAll(() => installChart(plain, '--force-conflicts'), 330_000);

  it('keeps its number when Helm wants another, which says whose it is; Helm takes the same, or takes it back', {
    timeout: 720_000,
  }, async () => {
    await kubectl('-n', namespace, 'scale', 'deployment', deployment, '--replicas=2');
    const refused = await upgrade();
    expect(refused.ok).toBe(false);
    expect(refused.stdout + refused.stderr).toMatch(/conflict with "kubectl".*\.spec\.replicas/s);
    expect(await wanted()).toBe(2);

    const same = await upgrade('--set', 'services.user.replicas=2');
    expect(same.ok, same.stdout + same.stderr).toBe(true);
    expect(await wanted()).toBe(2);

    const back = await upgrade('--force-conflicts');
    expect(back.ok, back.stdout + back.stderr).toBe(true);
    expect(await wanted()).toBe(1);
  });

  it('to none is nobody’s number: the next upgrade starts the pods again', { timeout: 360_000 }, async () => {
    await kubectl('-n', namespace, 'scale', 'deployment', deployment, '--replicas=0');
    expect(await wanted()).toBe(0);
    const started = await upgrade();
    expect(started.ok, started.stdout + started.stderr).toBe(true);
    expect(await wanted()).toBe(1);
  });
});
