import { afterEach, describe, expect, it } from 'vitest';
import { type Answer, ask, getJson, kubectl } from './support/program.ts';
import { chartArguments, plain } from './support/stack.ts';
import { useStack } from './support/use-stack.ts';

// Beside a stack that runs: what is refused must leave it alone, and the components are there.
useStack(plain);

const { namespace, platform } = plain;
const broken = 'broken';

/** Installs the chart as another release, with something wrong. */
const install = (...values: readonly string[]): Promise<Answer> =>
  ask(
    'helm',
    ['install', ...chartArguments({ ...plain, release: broken }), ...values, '--wait', '--timeout=180s'],
    {
      timeoutMs: 210_000,
    },
  );

afterEach(async () => {
  await ask('helm', ['uninstall', broken, '-n', namespace, '--ignore-not-found', '--wait', '--timeout=60s'], {
    timeoutMs: 90_000,
  });
  // What belongs to a hook that failed stays.
  const left = ['-l', `app.kubernetes.io/instance=${broken}`, '--ignore-not-found'];
  await kubectl('-n', namespace, 'delete', 'job,networkpolicy,configmap,secret', ...left);
});

const nowhere = `nowhere.${platform}.svc.cluster.local`;

describe('an install that cannot work', () => {
  it.each([
    [
      'PostgreSQL',
      ['--set', `database.url=postgres://skein:secret-password@${nowhere}:5432/skein`],
      'networkPolicy.database',
    ],
    ['NATS', ['--set', `events.url=nats://${nowhere}:4222`], 'networkPolicy.events'],
    ['Consul', ['--set', `discovery.url=consul://${nowhere}:8500`], 'networkPolicy.discovery'],
  ])(
    'says that %s is not reached, and what to do, and makes no pod of a service',
    async (name, values, fix) => {
      const { ok, stdout, stderr } = await install(...values, '--set', 'check.seconds=10');
      expect(ok).toBe(false);
      const told = stdout + stderr;
      expect(told).toMatch(new RegExp(`${name} at \\S*${nowhere}\\S* (is NOT reached|did not answer)`));
      expect(told).toContain('ENOTFOUND');
      expect(told).toContain(fix);
      expect(told).not.toContain('secret-password');
      const { items } = await getJson<{ items: unknown[] }>(
        ...['deployments', '-n', namespace, '-l', `app.kubernetes.io/instance=${broken}`],
      );
      expect(items).toEqual([]);
    },
  );

  it('names the Secret that is missing, and its keys', async () => {
    const { ok, stdout, stderr } = await install(
      '--set',
      'existingSecret=forgotten',
      '--set',
      'check.seconds=10',
    );
    expect(ok).toBe(false);
    const told = stdout + stderr;
    expect(told).toContain('INTERNAL_SECRET is required');
    expect(told).toContain('INTERNAL_SECRET is the key internal-secret of the Secret forgotten.');
    expect(told).toContain('AUTH_MASTER_KEY is the key master-key of the Secret forgotten.');
  });

  it('is refused under a name that is in use, and under the names of its objects', async () => {
    const again = await ask('helm', ['install', ...chartArguments(plain)]);
    expect(again.ok).toBe(false);
    expect(again.stderr).toContain('still in use');

    const { ok, stderr } = await install('--set', 'fullnameOverride=skein', '--set', 'check.enabled=false');
    expect(ok).toBe(false);
    expect(stderr).toMatch(/exists and cannot be imported into the current release/);
  });
});
