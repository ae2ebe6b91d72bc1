import { setTimeout as pause } from 'node:timers/promises';
import type { Received, Receivers } from './fanout-receivers.ts';
import type { System } from './fanout-systems.ts';
import { type CoreUse, rssKib, watchCore, watchMemory } from './measure-process.ts';

/** One step of the ladder with one system. */
export interface StepResult extends Received {
  readonly offered: number;
  /** Deliveries a second from the first scheduled moment to the last arrival. */
  readonly achieved: number;
  readonly core: CoreUse;
  /** How busy the other core was, with the load and all that stands behind a server. */
  readonly restBusy: number;
  /** CPU seconds of the server per million deliveries. */
  readonly cpuPerMillion: number;
  readonly rssBeforeKib: number;
  readonly rssPeakKib: number;
  readonly failed: readonly string[];
}

/** No progress for this long: what is missing will not come. */
const givenUpMs = 3_000;
/** What has not come so long after the last text was due counts as missing. */
const patienceMs = 8_000;
/** The publisher looks at the clock so often; more than one message may be due then. */
const tickMs = 2;

/** Text of one event: when it was due, its number, filled up to `size` bytes. */
const textOf = (dueNs: bigint, number: number, size: number): string =>
  `TS=${dueNs};N=${number};`.padEnd(size, 'x');

/**
 * Publishes at a fixed schedule, whatever the server does (an open loop), and waits until everything has arrived or
 * nothing more comes. Texts carry the moment they were due, so a late publisher or server counts as delay.
 */
export const runStep = async (
  system: System,
  receivers: Receivers,
  sockets: number,
  step: { readonly perSecond: number; readonly seconds: number; readonly size: number },
): Promise<StepResult> => {
  const { perSecond, seconds, size } = step;
  const total = Math.round(perSecond * seconds);
  await receivers.reset();
  const before = system.published();
  const rssBeforeKib = rssKib(system.pid);
  const memory = watchMemory(system.pid);
  const core = watchCore(system.pid, 0);
  const rest = watchCore(process.pid, 1);
  const startNs = process.hrtime.bigint();
  let published = 0;
  while (published < total) {
    const due = Math.min(
      total,
      Math.floor((Number(process.hrtime.bigint() - startNs) / 1e9) * perSecond) + 1,
    );
    for (; published < due; published += 1) {
      const dueNs = startNs + BigInt(Math.round((published / perSecond) * 1e9));
      system.publish(textOf(dueNs, before.last + published + 1, size));
    }
    await pause(tickMs);
  }
  let done = 0;
  let last = before.last;
  const failed: string[] = [];
  const endedAt = performance.now();
  let seen = -1;
  let movedAt = performance.now();
  let arrivedNs = process.hrtime.bigint();
  for (;;) {
    const news = system.published();
    done += news.done;
    last = Math.max(last, news.last);
    failed.push(...news.failed);
    const { received, lowest } = await receivers.progress();
    if (received + done !== seen) {
      seen = received + done;
      movedAt = performance.now();
      arrivedNs = process.hrtime.bigint();
    }
    if (done + failed.length >= total && lowest >= last) break;
    const now = performance.now();
    if (now - movedAt > givenUpMs || now - endedAt > patienceMs) break;
    await pause(20);
  }
  const use = core();
  const { own, others } = rest();
  const result = await receivers.report(last);
  const wall = Number(arrivedNs - startNs) / 1e9;
  return {
    ...result,
    offered: perSecond * sockets,
    achieved: result.received / wall,
    core: use,
    restBusy: own + others,
    cpuPerMillion: (use.own * wall) / (result.received / 1e6),
    rssBeforeKib,
    rssPeakKib: memory(),
    failed,
  };
};
