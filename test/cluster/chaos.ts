import { setTimeout as pause } from 'node:timers/promises';
import { type Disturbance, effectsOf, type Felt } from '../load/effects.ts';
import { type Load, type LoadOptions, startLoad } from '../load/load.ts';
import { type Summary, summaryOf } from '../load/summary.ts';
import { gatewayUrl, type Pod, podsOf, servicePods, services } from './support/loaded-stack.ts';
import { kubectl } from './support/program.ts';
import type { Stack } from './support/stack.ts';

/** What is done to the stack. */
export interface ChaosOptions {
  readonly load: Omit<LoadOptions, 'address'>;
  /** How long pods of ours are deleted. */
  readonly minutes: number;
  /** 0 ≤ n < 1: chooses among the pods of a service. */
  readonly random: () => number;
}

/** A pod that was taken away, and what that was like. */
export interface Deletion extends Disturbance {
  /** `asked`: it may drain; `killed`: it ends at once. */
  readonly how: 'asked' | 'killed';
  /** Until as many pods as before were ready; undefined: not within the time. */
  readonly replacedMs: number | undefined;
}

/** A deletion, and what clients felt of it. */
export type Effect = Deletion & Felt;

/** What chaos left. */
export interface ChaosReport {
  readonly summary: Summary;
  readonly effects: readonly Effect[];
}

const everyMs = 10_000;
const lookEveryMs = 250;
const replaceMs = 180_000;
/** Between two components, and before the first deletion: long enough to tell their effects apart. */
const calmMs = 20_000;
const components = ['nats', 'consul', 'postgres'] as const;

/** Whose pod the nth deletion takes, and how: every service is asked, then every one killed, and again. */
export const turnOf = (nth: number): Pick<Deletion, 'component' | 'how'> => ({
  component: services[nth % services.length] ?? services[0],
  how: Math.floor(nth / services.length) % 2 === 0 ? 'asked' : 'killed',
});

const remove = (namespace: string, { name }: Pod, how: Deletion['how']): Promise<string> =>
  kubectl(
    ...['-n', namespace, 'delete', 'pod', name, '--wait=false'],
    ...(how === 'killed' ? ['--grace-period=0', '--force'] : []),
  );

/** Waits until `count` pods are ready beside the one that was deleted; how long it took. */
const replaced = async (pods: () => Promise<Pod[]>, gone: Pod, count: number) => {
  const startedMs = Date.now();
  while (Date.now() < startedMs + replaceMs) {
    const ready = (await pods()).filter((pod) => pod.ready && !pod.leaving && pod.uid !== gone.uid);
    if (ready.length >= count) return Date.now() - startedMs;
    await pause(lookEveryMs);
  }
  return undefined;
};

const deletePods = async (
  stack: Stack,
  { minutes, random }: ChaosOptions,
  told: (line: string) => void,
): Promise<Deletion[]> => {
  const under: Promise<Deletion>[] = [];
  const endMs = Date.now() + minutes * 60_000;
  for (let nextMs = Date.now(); nextMs < endMs; nextMs += everyMs) {
    await pause(Math.max(0, nextMs - Date.now()));
    const { component, how } = turnOf(under.length);
    const siblings = async () => (await servicePods(stack)).filter((one) => one.component === component);
    const running = (await siblings()).filter(({ leaving }) => !leaving);
    const pod = running[Math.floor(random() * running.length)];
    if (!pod) throw new Error(`no pod of ${component} of ${stack.release} is left`);
    const count = running.length;
    const atMs = Date.now();
    await remove(stack.namespace, pod, how);
    told(`${component} ${how}: ${pod.name}`);
    under.push(replaced(siblings, pod, count).then((replacedMs) => ({ component, how, atMs, replacedMs })));
  }
  return Promise.all(under);
};

const deleteComponents = async (
  { platform }: Stack,
  load: Load,
  told: (line: string) => void,
): Promise<Deletion[]> => {
  const deletions: Deletion[] = [];
  for (const component of components) {
    const pods = () => podsOf(platform, `app.kubernetes.io/name=${component}`);
    const [pod] = (await pods()).filter(({ leaving }) => !leaving);
    if (!pod) throw new Error(`there is no pod of ${component} in ${platform}`);
    const atMs = Date.now();
    await remove(platform, pod, 'asked');
    const replacedMs = await replaced(pods, pod, 1);
    deletions.push({ component, how: 'asked', atMs, replacedMs });
    told(`${component}: ready again after ${replacedMs} ms; ${load.underWay} calls under way`);
    await pause(calmMs);
  }
  return deletions;
};

/**
 * Puts load on an installed stack; deletes one pod of ours every ten seconds for some minutes, of one service after the
 * other, in turn with and without time to drain; then NATS, Consul and Postgres, once each.
 */
export const chaos = async (
  stack: Stack,
  options: ChaosOptions,
  told: (line: string) => void,
): Promise<ChaosReport> => {
  const url = await gatewayUrl(stack);
  const load = await startLoad({ ...options.load, address: () => url });
  const deletions: Deletion[] = [];
  try {
    await pause(calmMs);
    deletions.push(...(await deletePods(stack, options, told)));
    await pause(calmMs);
    deletions.push(...(await deleteComponents(stack, load, told)));
  } catch (error) {
    load.abandon();
    throw error;
  }
  const history = await load.end();
  return { summary: summaryOf(history), effects: effectsOf(deletions, history) };
};
