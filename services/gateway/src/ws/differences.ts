import type { syncV1 } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import type { Sink } from '../live/sink.ts';
import type { Clients } from '../ports.ts';
import { sessionType, syncDataJson } from './classic-frames.ts';

/** Well below `maxFrame`: around the items there are names, and one item may go over. */
const pieceBytes = 700_000;

/** One thing in which client and server differ, as JSON. */
export interface Difference {
  readonly kind: 'document' | 'gone';
  readonly json: string;
}

const documentJson = ({ collection, id, version, valueJson, hash }: syncV1.Document): string => {
  const head = JSON.stringify({ collection, id, version, hash });
  return `${head.slice(0, -1)},"value":${valueJson === '' ? 'null' : valueJson}}`;
};

const goneJson = ({ collection, id, version }: syncV1.DocumentVersion): string =>
  JSON.stringify({ collection, id, version });

const keyOf = (collection: string, id: string): string => JSON.stringify([collection, id]);

/**
 * Everything in which a client differs from a space, read page by page. `start` is told the offset of the first page:
 * what changed after it also comes, or came, as an event. `diverged` is told of documents the client has otherwise
 * though not older.
 */
export async function* differences(
  sync: Clients['sync'],
  asked: { readonly space: string; readonly versions: syncV1.DocumentVersion[] },
  call: () => CallContext,
  start: (offset: number) => void,
  diverged: (count: number) => void = () => {},
): AsyncGenerator<Difference> {
  const had = new Map(asked.versions.map(({ collection, id, version }) => [keyOf(collection, id), version]));
  let cursor = '';
  do {
    const page = await sync.compareDocuments({ ...asked, cursor }, call());
    if (cursor === '') start(page.offset);
    // What is older than ours is late; what is not, and differs all the same, should not be.
    const wrong = page.documents.filter(
      (one) => (had.get(keyOf(one.collection, one.id)) ?? 0) >= one.version,
    );
    if (wrong.length > 0) diverged(wrong.length);
    for (const one of page.gone) yield { kind: 'gone', json: goneJson(one) };
    for (const one of page.documents) yield { kind: 'document', json: documentJson(one) };
    cursor = page.next;
  } while (cursor !== '');
}

/** The same for classic clients: what differs in the personal space, without the session. */
export async function* classicDifferences(
  sync: Clients['sync'],
  versions: syncV1.ClassicVersion[],
  call: () => CallContext,
): AsyncGenerator<Difference> {
  let cursor = '';
  do {
    const asked = { afterOffset: 0, versions, compare: true, deviceId: '', cursor };
    const page = await sync.readClassic(asked, call());
    for (const one of page.items)
      if (one.type !== sessionType) yield { kind: 'document', json: syncDataJson(one) };
    cursor = page.next;
  } while (cursor !== '');
}

/** Differences for one frame; `more` when another frame follows. */
export interface Piece {
  readonly documents: string;
  readonly gone: string;
  readonly more: boolean;
}

const pieceOf = (items: readonly Difference[], more: boolean): Piece => {
  const of = (kind: Difference['kind']) =>
    items.flatMap((one) => (one.kind === kind ? [one.json] : [])).join(',');
  return { documents: `[${of('document')}]`, gone: `[${of('gone')}]`, more };
};

/** Differences in pieces that fit into frames; at least one. Waits for room at the reader before each. */
export async function* inPieces(
  items: AsyncIterable<Difference>,
  sink: Pick<Sink, 'ready'>,
  signal: AbortSignal,
): AsyncGenerator<Piece> {
  const room = async () => {
    for (let wait = sink.ready('snapshot'); wait && !signal.aborted; wait = sink.ready('snapshot'))
      await wait;
  };
  let piece: Difference[] = [];
  let bytes = 0;
  for await (const item of items) {
    const size = Buffer.byteLength(item.json) + 1;
    if (piece.length > 0 && bytes + size > pieceBytes) {
      await room();
      // The rest is not read for nobody.
      if (signal.aborted) return;
      yield pieceOf(piece, true);
      piece = [];
      bytes = 0;
    }
    piece.push(item);
    bytes += size;
  }
  await room();
  yield pieceOf(piece, false);
}
