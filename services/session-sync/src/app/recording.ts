import { ledgerCollection, type Sealing, withLedgerEntries } from '../domain/ledger.ts';
import type { Needs } from '../domain/state.ts';
import type { Writer } from './writer.ts';

/** Whether a command may change a health record: the document of a conflict is known only once it is loaded. */
const touches = ({ documents, conflict }: Needs): boolean =>
  conflict !== undefined || (documents ?? []).some(({ collection }) => collection === ledgerCollection);

/**
 * The writer, with an entry in the integrity ledger for every change of a health record: in the same transaction,
 * whichever command makes it.
 */
export const recording = (writer: Writer, sealing: Sealing): Writer => ({
  write: (unit, signal) =>
    writer.write(
      touches(unit.needs)
        ? {
            ...unit,
            needs: { ...unit.needs, ledger: true },
            decide: (state, nowMs) => withLedgerEntries(state, unit.decide(state, nowMs), sealing),
          }
        : unit,
      signal,
    ),
  get depth() {
    return writer.depth;
  },
  stop: () => writer.stop(),
});
