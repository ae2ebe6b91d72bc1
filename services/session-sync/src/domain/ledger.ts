import { type Json, type Sha256, toHex, valueHash } from '@skein/sync-core';
import type { Accepted, Decision } from './decision.ts';
import { type DocumentRow, keyOf, type LedgerRow, type SpaceState } from './state.ts';

/** The collection whose every change is in the ledger of its space. */
export const ledgerCollection = 'health_data';

/** What an entry says about a change; its value is only in the document and in the event at `offset`. */
export interface LedgerRecord {
  readonly position: number;
  /** `reversed`: a saga took back what the entry `reverses` says. */
  readonly kind: 'recorded' | 'deleted' | 'reversed';
  readonly id: string;
  readonly version: number;
  /** SHA-256 of the value. */
  readonly hash: string;
  readonly offset: number;
  readonly timeMs: number;
  readonly reverses?: number | undefined;
}

/** What hashing and hiding a record needs. */
export interface Sealing {
  readonly sha256: Sha256;
  /** Unguessable: without it nobody finds a short record by trying. */
  readonly salt: () => string;
}

const hashOf = (sha256: Sha256, text: string): string => toHex(sha256(new TextEncoder().encode(text)));

/** What the chain of a space begins with: no entry fits the chain of another space. */
export const genesis = (sha256: Sha256, space: string): string => hashOf(sha256, space);

/** H(salt ‖ record): binds the record and, once salt and record are erased, tells nothing of it. */
export const commitmentOf = (sha256: Sha256, salt: string, record: string): string =>
  hashOf(sha256, `${salt}${record}`);

/** H(previous ‖ commitment): the hash of an entry. */
export const linkOf = (sha256: Sha256, previous: string, commitment: string): string =>
  hashOf(sha256, `${previous}${commitment}`);

const changes = (before: DocumentRow | undefined, after: DocumentRow): boolean =>
  after.collection === ledgerCollection &&
  (before?.hash !== after.hash || before.deleted !== after.deleted || before.offset !== after.offset);

const kindOf = (row: DocumentRow, reverses: number | undefined): LedgerRecord['kind'] =>
  reverses === undefined ? (row.deleted ? 'deleted' : 'recorded') : 'reversed';

/**
 * The decision with an entry for every document of the collection it changes; `reverses` is the entry it takes back.
 * A higher version of the same content (a classic client's) is no change.
 */
export const withLedgerEntries = <R>(
  state: SpaceState,
  decision: Decision<R>,
  { sha256, salt }: Sealing,
): Decision<R> => {
  if ('refused' in decision) return decision;
  const changed = (decision.writes.documents ?? []).filter((row) =>
    changes(state.documents.get(keyOf(row.collection, row.id)), row),
  );
  if (changed.length === 0) return decision;
  let { position, hash } = state.ledger ?? { position: 0, hash: genesis(sha256, state.id) };
  const ledger = changed.map((row): LedgerRow => {
    position += 1;
    const record: LedgerRecord = {
      ...{ position, kind: kindOf(row, decision.reverses), id: row.id, version: row.loggedVersion },
      ...{ hash: row.hash, offset: row.offset, timeMs: row.updatedAtMs, reverses: decision.reverses },
    };
    const sealed = { salt: salt(), record: JSON.stringify(record) };
    const commitment = commitmentOf(sha256, sealed.salt, sealed.record);
    hash = linkOf(sha256, hash, commitment);
    return { space: state.id, position, hash, commitment, ...sealed };
  });
  return { ...decision, writes: { ...decision.writes, ledger } } satisfies Accepted<R>;
};

/** Where the next entry of a space will stand. */
export const nextEntry = (state: SpaceState): number => (state.ledger?.position ?? 0) + 1;

/** What is wrong with an entry, or with a document the ledger speaks of. */
export interface LedgerFault {
  /** 0: of a document that has no entry. */
  readonly position: number;
  readonly fault: 'missing' | 'chain' | 'record' | 'document';
}

/** What the documents of the collection are now. */
export interface LedgerDocument {
  readonly id: string;
  /** JSON text. */
  readonly value: string;
  readonly hash: string;
  readonly deleted: boolean;
}

/** Whether the hash a document carries is that of its value, which somebody may have changed alone. */
const truthful = (sha256: Sha256, { value, hash }: LedgerDocument): boolean => {
  try {
    return valueHash(JSON.parse(value) as Json, sha256) === hash;
  } catch {
    // No value of ours: neither JSON nor its canonical form.
    return false;
  }
};

/** Most faults that are told; the first one says enough. */
const maxFaults = 100;

/** Checks a chain entry by entry, in order, and then what it says against the documents there are. */
export const ledgerCheck = (sha256: Sha256, space: string) => {
  const faults: LedgerFault[] = [];
  const last = new Map<string, LedgerRecord>();
  let head = { position: 0, hash: genesis(sha256, space) };
  let erased = 0;
  const found = (position: number, fault: LedgerFault['fault']): void => {
    if (faults.length < maxFaults) faults.push({ position, fault });
  };

  const readRecord = ({ position, salt, record, commitment }: LedgerRow): void => {
    if (salt === null || record === null) {
      erased += 1;
      return;
    }
    const sealed = commitmentOf(sha256, salt, record) === commitment;
    const read = sealed ? (JSON.parse(record) as LedgerRecord) : undefined;
    if (read?.position === position && (read.reverses ?? 0) < position) last.set(read.id, read);
    else found(position, 'record');
  };

  return {
    entry: (row: LedgerRow): void => {
      if (row.position !== head.position + 1) found(row.position, 'missing');
      else if (linkOf(sha256, head.hash, row.commitment) !== row.hash) found(row.position, 'chain');
      head = { position: row.position, hash: row.hash };
      readRecord(row);
    },
    /** After the last entry, each once and as of the same moment. What was erased speaks of none. */
    document: (row: LedgerDocument): void => {
      const said = last.get(row.id);
      last.delete(row.id);
      if (!said) found(0, 'document');
      else if (said.hash !== row.hash || (said.kind === 'recorded') === row.deleted || !truthful(sha256, row))
        found(said.position, 'document');
    },
    /** After the last document. */
    end: () => {
      // A deleted document may be forgotten, one that is there may not.
      for (const { position, kind } of last.values()) if (kind === 'recorded') found(position, 'document');
      return { entries: head.position, erased, head, faults };
    },
  };
};
