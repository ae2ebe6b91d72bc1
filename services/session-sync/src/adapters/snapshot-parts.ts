import { stateHash } from '@skein/sync-core';
import { encodeObject, type JsonText, jsonText } from '../domain/json-text.ts';
import { nativeSha256 } from './native-sha256.ts';

/** A part stays well below a frame of 1,000,000 bytes; a single larger document is a part of its own. */
const partBytes = 400_000;

/** A document in a snapshot. */
interface PartDocument {
  readonly collection: string;
  readonly id: string;
  readonly version: number;
  readonly value: JsonText;
  readonly hash: string;
}

/** A conversation in a snapshot. */
interface PartConversation {
  readonly id: string;
  readonly title: string;
  readonly head: string | undefined;
  readonly count: number;
}

/** Collects documents and conversations into JSON texts of a bounded size, and their state hash. */
export const snapshotParts = () => {
  const parts: { documents: string[]; conversations: string[] }[] = [{ documents: [], conversations: [] }];
  const hash = stateHash(nativeSha256);
  let bytes = 0;
  const add = (kind: 'documents' | 'conversations', json: string) => {
    const size = Buffer.byteLength(json);
    if (bytes > 0 && bytes + size > partBytes) {
      parts.push({ documents: [], conversations: [] });
      bytes = 0;
    }
    bytes += size;
    parts.at(-1)?.[kind].push(json);
  };
  return {
    document: ({ collection, id, version, value, hash: valueHash }: PartDocument) => {
      hash.add({ collection, id, version, hash: valueHash });
      add('documents', encodeObject({ collection, id, version, value, hash: valueHash }));
    },
    conversation: ({ id, title, head, count }: PartConversation) =>
      add('conversations', encodeObject({ id, title, head, count })),
    /** JSON texts `{documents, conversations}`; the last one also has `stateHash`. */
    texts: (): string[] =>
      parts.map(({ documents, conversations }, at) =>
        encodeObject({
          documents: jsonText(`[${documents.join(',')}]`),
          conversations: jsonText(`[${conversations.join(',')}]`),
          stateHash: at === parts.length - 1 ? hash.toString() : undefined,
        }),
      ),
  };
};
