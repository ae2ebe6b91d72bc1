import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type KubeObject, objectsOf, render } from './helm.ts';
import { type Profile, profileValues, root } from './paths.ts';
import { type Container, podOf } from './pods.ts';

/** The Job that runs before an install, upgrade or rollback. */
export interface CheckJob {
  readonly job: KubeObject;
  readonly containers: readonly Container[];
  /**
   * Runs the container of a service as Kubernetes would: its arguments, and its environment with what `filled` has for
   * fields and Secrets. `change` wins over all of it.
   */
  run(
    service: string,
    filled: Readonly<Record<string, string>>,
    change?: Readonly<Record<string, string>>,
  ): Promise<CheckResult>;
}

/** How a container ended. */
export interface CheckResult {
  readonly code: number | null;
  /** Its lines that are no log. */
  readonly said: readonly string[];
}

const linesOf = (output: string): string[] => output.split('\n').filter((line) => /^[^{]/.test(line));

/** The Job of a profile; `args` are more arguments for Helm. */
export const checkJob = async (profile: Profile, ...args: readonly string[]): Promise<CheckJob> => {
  const { ok, output } = await render('--values', profileValues(profile), ...args);
  if (!ok) throw new Error(output);
  const job = objectsOf(output).find(({ kind }) => kind === 'Job');
  const containers = (job && podOf(job)?.containers) ?? [];
  if (!job) throw new Error(`${profile} has no Job`);
  return {
    job,
    containers,
    run: async (service, filled, change = {}) => {
      const container = containers.find(({ name }) => name === service);
      if (!container) throw new Error(`the Job has no container ${service}`);
      const env = (container.env ?? []).flatMap(({ name, value }): [string, string][] => {
        const given = value ?? filled[name];
        return given === undefined ? [] : [[name, given.replace('$(HOST_IP)', '127.0.0.1')]];
      });
      const main = join(root, 'services', service, 'src', 'main.ts');
      const child = spawn(process.execPath, [main, ...(container.args ?? [])], {
        env: { ...Object.fromEntries(env), ...change },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const [out, err, [code]] = await Promise.all([
        text(child.stdout),
        text(child.stderr),
        once(child, 'close'),
      ]);
      return { code, said: linesOf(out + err) };
    },
  };
};
