import { canonicalJson } from './canonical.ts';
import type { Json } from './json.ts';
import { type Sha256, sha256, toHex } from './sha256.ts';

const encoder = new TextEncoder();
const mask = (1n << 64n) - 1n;

/** Hash of a document's value: SHA-256 of its RFC 8785 form, hex. */
export const valueHash = (value: Json, hash: Sha256 = sha256): string =>
  toHex(hash(encoder.encode(canonicalJson(value))));

/** What a document adds to the state hash of its space. */
export interface HashedDocument {
  readonly collection: string;
  readonly id: string;
  readonly version: number;
  /** `valueHash` of its value. */
  readonly hash: string;
}

/** One document's part: the first 8 bytes of SHA-256(collection ␀ id ␀ version ␀ hash). */
const partOf = ({ collection, id, version, hash: value }: HashedDocument, hash: Sha256): bigint => {
  const digest = hash(encoder.encode(`${collection}\u0000${id}\u0000${version}\u0000${value}`));
  return new DataView(digest.buffer, digest.byteOffset).getBigUint64(0);
};

/** A state hash that follows a changing set of documents; adding and removing are each other's opposite. */
export interface StateHash {
  add(document: HashedDocument): void;
  remove(document: HashedDocument): void;
  /** `1:` and 16 hex digits. */
  toString(): string;
}

/** The hash of no documents at all, to add to. The order of documents does not matter. */
export const stateHash = (hash: Sha256 = sha256): StateHash => {
  let sum = 0n;
  return {
    add: (document) => {
      sum = (sum + partOf(document, hash)) & mask;
    },
    remove: (document) => {
      sum = (sum - partOf(document, hash)) & mask;
    },
    toString: () => `1:${sum.toString(16).padStart(16, '0')}`,
  };
};

/** The state hash of live documents. */
export const stateHashOf = (documents: Iterable<HashedDocument>, hash: Sha256 = sha256): string => {
  const all = stateHash(hash);
  for (const document of documents) all.add(document);
  return all.toString();
};
