import { setTimeout as pause } from 'node:timers/promises';
import type { Random } from '../simulation/schedule.ts';
import { type FaultyStack, lineNames } from './stack.ts';

/** What is done to which part; `inject` ends when the part is as it was before. */
export interface FaultKind {
  /** A process, a component or a line: no two faults are put on one at a time. */
  readonly component: string;
  readonly how: string;
  /** How often it is chosen, against the others. */
  readonly weight: number;
  readonly inject: (stack: FaultyStack, random: Random) => Promise<void>;
}

/** How long something stays away or stands still. */
const away = (random: Random) => random.between(200, 3_000);
/** Longer than leases and deadlines every now and then, shorter than a client's patience. */
const still = (random: Random) => random.between(500, 8_000);

const replicas = ['auth', 'user', 'session-sync', 'agent', 'gateway'].flatMap((name) =>
  [1, 2].map((at) => `${name}.${at}`),
);

const processOf = ({ processes }: FaultyStack, name: string) => {
  const life = processes.get(name);
  if (!life) throw new Error(`bug: there is no process ${name}`);
  return life;
};

const ended = (signal: NodeJS.Signals, component: string): FaultKind['inject'] => {
  return async (stack) => {
    const life = processOf(stack, component);
    const { starts } = life;
    // Between two lives there is nothing to end: it is away already.
    life.kill(signal);
    while (life.starts === starts) await pause(20);
    await life.ready();
  };
};

const stopped = (component: string): FaultKind['inject'] => {
  return async (stack, random) => {
    const life = processOf(stack, component);
    await life.ready();
    life.kill('SIGSTOP');
    await pause(still(random));
    life.kill('SIGCONT');
  };
};

const ofProcesses: FaultKind[] = replicas.flatMap((component): FaultKind[] => [
  { component, how: 'killed', weight: 3, inject: ended('SIGKILL', component) },
  { component, how: 'stopped for a while', weight: 2, inject: stopped(component) },
  { component, how: 'asked to end', weight: 1, inject: ended('SIGTERM', component) },
]);

const again = (component: 'postgres' | 'nats' | 'consul', empty: boolean): FaultKind['inject'] => {
  return async ({ components }, random) => {
    const one = components[component];
    await one.kill();
    await pause(away(random));
    await one.start(empty);
  };
};

const ofComponents: FaultKind[] = [
  { component: 'postgres', how: 'killed', weight: 8, inject: again('postgres', false) },
  { component: 'nats', how: 'killed', weight: 5, inject: again('nats', false) },
  { component: 'nats', how: 'killed, store lost', weight: 5, inject: again('nats', true) },
  { component: 'consul', how: 'killed, all forgotten', weight: 5, inject: again('consul', true) },
];

const ofLines: FaultKind[] = lineNames.flatMap((name): FaultKind[] => {
  const component = `line to ${name}`;
  const during = (begin: 'stall' | 'refuse'): FaultKind['inject'] => {
    return async ({ lines }, random) => {
      lines[name][begin]();
      await pause(still(random));
      lines[name].heal();
    };
  };
  return [
    { component, how: 'cut', weight: 3, inject: async ({ lines }) => lines[name].cut() },
    { component, how: 'half-open', weight: 2, inject: async ({ lines }) => lines[name].halfOpen() },
    { component, how: 'stalled', weight: 2, inject: during('stall') },
    { component, how: 'refusing', weight: 1, inject: during('refuse') },
  ];
});

/** Everything that can be done to a stack. */
export const faultKinds: readonly FaultKind[] = [...ofProcesses, ...ofComponents, ...ofLines];
