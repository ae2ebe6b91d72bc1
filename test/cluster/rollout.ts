import { setTimeout as pause } from 'node:timers/promises';
import { type LoadOptions, startLoad } from '../load/load.ts';
import { type Summary, summaryOf } from '../load/summary.ts';
import { gatewayUrl, servicePods } from './support/loaded-stack.ts';
import { must } from './support/program.ts';
import { installChart, type Stack } from './support/stack.ts';

/** What a rollout under load left. */
export interface RolloutReport {
  readonly summary: Summary;
  /** Each stage with its time and how many pods of ours were replaced in it. */
  readonly stages: readonly { readonly name: string; readonly seconds: number; readonly replaced: number }[];
}

/** Load before the first change, between two, and after the last. */
const calmMs = 10_000;
const rollbackSeconds = 300;

/**
 * Puts load on an installed stack, upgrades every service by a changed annotation, and rolls it back. Every pod is
 * replaced twice.
 */
export const rollout = async (
  stack: Stack,
  options: Omit<LoadOptions, 'address'>,
  told: (line: string) => void,
): Promise<RolloutReport> => {
  const url = await gatewayUrl(stack);
  const load = await startLoad({ ...options, address: () => url });
  const stages: RolloutReport['stages'][number][] = [];
  const stage = async (name: string, work: () => Promise<unknown>) => {
    const before = new Set((await servicePods(stack)).map(({ uid }) => uid));
    const startedMs = performance.now();
    await work();
    const seconds = (performance.now() - startedMs) / 1_000;
    // The old ones drain for a while after the new ones are ready.
    await pause(calmMs);
    const replaced = (await servicePods(stack)).filter(({ uid }) => !before.has(uid)).length;
    stages.push({ name, seconds, replaced });
    told(
      `${name}: ${seconds.toFixed(0)} s, ${replaced} pods replaced; ${load.connected} sockets, ${load.underWay} calls under way`,
    );
  };
  const annotation = { 'skein.dev/rolled-out-at': new Date().toISOString() };
  const { release, namespace } = stack;
  try {
    await pause(calmMs);
    await stage('upgrade', () =>
      installChart(stack, '--set-json', `defaults.podAnnotations=${JSON.stringify(annotation)}`),
    );
    await stage('rollback', () =>
      must(
        'helm',
        ['rollback', release, '--namespace', namespace, '--wait', `--timeout=${rollbackSeconds}s`],
        { timeoutMs: (rollbackSeconds + 30) * 1_000 },
      ),
    );
  } catch (error) {
    load.abandon();
    throw error;
  }
  return { summary: summaryOf(await load.end()), stages };
};
