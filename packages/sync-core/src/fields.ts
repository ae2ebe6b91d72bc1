import { compareHlc } from './hlc.ts';
import type { Op, Path } from './mutation.ts';

/** When a field was last written: in which version of its document, and by which stamp. */
export interface FieldStamp {
  readonly version: number;
  readonly hlc: string;
}

/** Field key (`fieldKey`) → its stamp. The whole document has the key ''. */
export type Fields = Readonly<Record<string, FieldStamp>>;

/** Beyond this many a document is stamped as a whole: conflicts are then found more often, never less. */
const maxFields = 1_000;

/** A path as one text: a JSON Pointer (RFC 6901). */
export const fieldKey = (path: Path): string =>
  path.map((key) => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

const covers = (outer: string, inner: string): boolean => inner === outer || inner.startsWith(`${outer}/`);

/**
 * The newest stamp of everything that lies at, above or below a path; undefined when it was never written. Writing
 * a part touches the whole that holds it, and the other way round.
 */
export const stampAt = (fields: Fields, path: Path): FieldStamp | undefined => {
  const key = fieldKey(path);
  let newest: FieldStamp | undefined;
  for (const [field, stamp] of Object.entries(fields)) {
    if (!covers(field, key) && !covers(key, field)) continue;
    if (!newest || stamp.version > newest.version) newest = stamp;
    else if (stamp.version === newest.version && compareHlc(stamp.hlc, newest.hlc) > 0) newest = stamp;
  }
  return newest;
};

/** The stamps after operations were written in `version`. */
export const stampFields = (fields: Fields, ops: readonly Op[], stamp: FieldStamp): Fields => {
  const next = new Map(Object.entries(fields));
  for (const { op, path } of ops) {
    const key = fieldKey(path);
    // A new value replaces what was inside; adding to a set or a counter does not.
    if (op === 'set' || op === 'unset' || op === 'delete')
      for (const field of next.keys()) if (field !== key && covers(key, field)) next.delete(field);
    next.set(key, stamp);
  }
  return next.size > maxFields ? { '': stamp } : Object.fromEntries(next);
};
