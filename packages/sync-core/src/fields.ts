import { compareHlc } from './hlc.ts';
import type { Op, Path } from './mutation.ts';

/** When a field was last written: in which version of its document, by which stamp, and by whom. */
export interface FieldStamp {
  readonly version: number;
  readonly hlc: string;
  /** The writer: what it wrote before is no news to itself. */
  readonly by?: string | undefined;
}

/** Field key (`fieldKey`) → its stamp. The whole document has the key ''. */
export type Fields = Readonly<Record<string, FieldStamp>>;

/** Beyond this many a document is stamped as a whole: conflicts are then found more often, never less. */
const maxFields = 1_000;

/** A path as one text: a JSON Pointer (RFC 6901). */
export const fieldKey = (path: Path): string =>
  path.map((key) => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

/** The path of a field key. */
export const fieldPath = (field: string): Path =>
  field
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));

const covers = (outer: string, inner: string): boolean =>
  inner.startsWith(outer) && (inner.length === outer.length || inner[outer.length] === '/');

/**
 * The newest stamp of what was written at, above or below a path after a version, by anybody but `writer`; undefined
 * when there is none. Writing a part touches the whole that holds it, and the other way round.
 */
export const unseenAt = (
  fields: Fields,
  path: Path,
  version: number,
  writer?: string,
): FieldStamp | undefined => {
  const key = fieldKey(path);
  let newest: FieldStamp | undefined;
  for (const field in fields) {
    const stamp = fields[field] as FieldStamp;
    if (stamp.version <= version || (writer !== undefined && stamp.by === writer)) continue;
    if (!covers(field, key) && !covers(key, field)) continue;
    if (!newest || compareHlc(stamp.hlc, newest.hlc) > 0) newest = stamp;
  }
  return newest;
};

/** The stamps after operations were written by `stamp`. */
export const stampFields = (fields: Fields, ops: readonly Op[], stamp: FieldStamp): Fields => {
  const next = new Map(Object.entries(fields));
  for (const { op, path } of ops) {
    const key = fieldKey(path);
    // A new value replaces what was inside; adding to a set or a counter does not.
    if (op === 'set' || op === 'unset' || op === 'delete')
      for (const field of next.keys()) if (field !== key && covers(key, field)) next.delete(field);
    next.set(key, stamp);
  }
  if (next.size <= maxFields) return Object.fromEntries(next);
  const hlc = [...next.values()].reduce(
    (newest, one) => (compareHlc(one.hlc, newest) > 0 ? one.hlc : newest),
    stamp.hlc,
  );
  // Of several writers: news to each of them.
  return { '': { version: stamp.version, hlc } };
};
