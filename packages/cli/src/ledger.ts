import type { Gateway } from './gateway.ts';
import type { Screen } from './screen.ts';

interface Report {
  readonly intact: boolean;
  readonly entries: number;
  readonly erased: number;
  readonly head: { readonly position: number; readonly hash: string };
  readonly faults: readonly { readonly position: number; readonly fault: string }[];
}

const meaning: Readonly<Record<string, string>> = {
  missing: 'is not the entry that follows the one before it',
  chain: 'does not follow from the entry before it',
  record: 'does not say what was sealed',
  document: 'does not agree with the record there is',
};

/** Checks the integrity ledger of a space; false when something was changed behind its back. */
export const verifyLedger = async (gateway: Gateway, screen: Screen, space: string): Promise<boolean> => {
  const path = `/v1/spaces/${encodeURIComponent(space)}/health-records/ledger`;
  const report = (await gateway.call('GET', path)) as Report;
  const { intact, entries, erased, head, faults } = report;
  const lines = faults.map(({ position, fault }) =>
    position === 0 ? 'A record has no entry.' : `Entry ${position} ${meaning[fault] ?? fault}.`,
  );
  const kept =
    entries === 0 ? [] : [`Keep this to check later that nothing before it was changed: ${head.hash}`];
  screen.row(
    { space, ...report },
    [
      `${entries} entries, ${erased} of them erased: ${intact ? 'intact' : 'NOT INTACT'}`,
      ...lines,
      ...kept,
    ].join('\n'),
  );
  return intact;
};
