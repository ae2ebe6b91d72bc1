import type { Ground } from './disk.ts';
import { type Machine, startMachine } from './machine.ts';

/** The processes of a mesh: one that dies begins again, after a while, unless everything is stopped. */
export interface Processes {
  /** Keeps a process of a kind running in a slot, which is empty until it has started. */
  keep<T>(slots: (T | undefined)[], at: number, kind: string, start: (machine: Machine) => Promise<T>): void;
  /** Kills one of them. */
  killOne(): void;
  /** Kills all of them, and starts none until `open`. */
  close(): void;
  open(): void;
  readonly crashes: number;
}

const restartMs = { min: 100, max: 3_000 };
const skewMs = 2_000;

/** Processes; `died` is told of each that ends by itself. */
export const createProcesses = ({ schedule, random }: Ground, died: (name: string) => void): Processes => {
  const machines = new Set<Machine>();
  let starts = 0;
  let crashes = 0;
  let closed = false;
  const keep: Processes['keep'] = (slots, at, kind, start) => {
    if (closed) return;
    starts += 1;
    const machine = startMachine(`${kind}-${at + 1}-${starts}`, random.between(-skewMs, skewMs));
    machines.add(machine);
    machine.onDeath(() => {
      machines.delete(machine);
      slots[at] = undefined;
      if (closed) return;
      crashes += 1;
      died(machine.name);
      schedule.after(random.between(restartMs.min, restartMs.max), () => keep(slots, at, kind, start));
    });
    start(machine).then(
      (one) => {
        if (machine.alive) slots[at] = one;
      },
      // A process that cannot start, because the database is away, ends and is started again.
      () => machine.alive && machine.kill(),
    );
  };
  return {
    keep,
    killOne: () => {
      if (machines.size > 0) random.pick([...machines]).kill();
    },
    close: () => {
      closed = true;
      for (const machine of [...machines]) machine.kill();
    },
    open: () => {
      closed = false;
    },
    get crashes() {
      return crashes;
    },
  };
};
