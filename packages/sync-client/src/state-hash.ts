import type { Document } from './frames.ts';

/** SHA-256 of bytes. `crypto.subtle.digest` in a page on https or localhost. */
export type Sha256 = (bytes: Uint8Array<ArrayBuffer>) => Promise<ArrayBuffer>;

/**
 * The hash of a space's live documents, `1:` and 16 hex digits: the sum modulo 2^64 of the first 8 bytes of
 * SHA-256(collection NUL id NUL version NUL hash). The order of documents does not matter.
 */
export async function stateHash(documents: readonly Document[], sha256: Sha256): Promise<string> {
  const parts = await Promise.all(
    documents.map(async (document) => {
      const text = [document.collection, document.id, String(document.version), document.hash].join('\u0000');
      const digest = await sha256(new TextEncoder().encode(text));
      return new DataView(digest).getBigUint64(0);
    }),
  );
  const sum = parts.reduce((total, part) => BigInt.asUintN(64, total + part), 0n);
  return `1:${sum.toString(16).padStart(16, '0')}`;
}
