import { setTimeout as pause } from 'node:timers/promises';
import { type LoadOptions, startLoad } from '../load/load.ts';
import { type Summary, summaryOf } from '../load/summary.ts';
import { gatewayUrl } from './support/loaded-stack.ts';
import type { Stack } from './support/stack.ts';
import { type ContainerUsage, look, usageBetween } from './support/usage.ts';

/** What a soak left. */
export interface SoakReport {
  readonly summary: Summary;
  /** What the containers used over the middle and over the end of the run. */
  readonly middle: readonly ContainerUsage[];
  readonly end: readonly ContainerUsage[];
}

/** Caches fill and compilers work in the first part; the other two are compared. */
const parts = 3;

/** Puts load on an installed stack for some minutes, and looks whether it needs more and more. */
export const soak = async (
  stack: Stack,
  { load: options, minutes }: { readonly load: Omit<LoadOptions, 'address'>; readonly minutes: number },
  told: (line: string) => void,
): Promise<SoakReport> => {
  const url = await gatewayUrl(stack);
  const load = await startLoad({ ...options, address: () => url });
  try {
    const looks = [];
    for (let part = 1; part <= parts; part += 1) {
      await pause((minutes * 60_000) / parts);
      looks.push(await look());
      told(`part ${part} of ${parts}: ${load.connected} sockets, ${load.underWay} calls under way`);
    }
    const [first = [], second = [], third = []] = looks;
    const ours = (usage: readonly ContainerUsage[]) =>
      usage.filter(({ namespace }) => namespace === stack.namespace || namespace === stack.platform);
    return {
      middle: ours(usageBetween(first, second)),
      end: ours(usageBetween(second, third)),
      summary: summaryOf(await load.end()),
    };
  } catch (error) {
    load.abandon();
    throw error;
  }
};
