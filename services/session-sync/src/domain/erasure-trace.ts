import { canonicalJson, isJsonObject, type Json, jsonEqual } from '@skein/sync-core';

/** Stands where a value of the person was. */
const gone = Symbol('gone');

/** A value with `gone` in the place of what the person wrote. */
type Kept = typeof gone | null | boolean | number | string | readonly Kept[] | KeptObject;
interface KeptObject {
  readonly [key: string]: Kept;
}

/** One version of a document, and whose its new texts are. */
export interface TracedChange {
  /** The whole value after it. */
  readonly value: Json;
  /** The person wrote it. */
  readonly mine: boolean;
  /** It may bring back what somebody wrote before: the end of a conflict. */
  readonly restores: boolean;
}

const keptIn = (kept: Kept | undefined, key: string): Kept | undefined =>
  typeof kept === 'object' && kept !== null && !Array.isArray(kept) && Object.hasOwn(kept, key)
    ? (kept as KeptObject)[key]
    : undefined;

const listOf = (kept: Kept | undefined): readonly Kept[] => (Array.isArray(kept) ? kept : []);

type IsMine = (leaf: Json) => boolean;

/** Elements of an array that were there before stay whose they were, wherever they stand now. */
const keepElements = (
  before: readonly Json[],
  kept: readonly Kept[],
  after: readonly Json[],
  mine: IsMine,
): Kept => {
  const known = new Map<string, Kept[]>();
  for (const [at, element] of before.entries()) {
    const text = canonicalJson(element);
    known.set(text, [...(known.get(text) ?? []), kept[at] ?? gone]);
  }
  return after.map((element, at): Kept => {
    const same = known.get(canonicalJson(element))?.shift();
    return same ?? keep(before[at], kept[at], element, mine);
  });
};

const keep = (before: Json | undefined, kept: Kept | undefined, after: Json, mine: IsMine): Kept => {
  if (before !== undefined && kept !== undefined && jsonEqual(before, after)) return kept;
  if (Array.isArray(after))
    return keepElements(Array.isArray(before) ? before : [], listOf(kept), after as readonly Json[], mine);
  if (isJsonObject(after)) {
    const was = isJsonObject(before) ? before : {};
    return Object.fromEntries(
      Object.entries(after).map(([key, value]) => [
        key,
        keep(Object.hasOwn(was, key) ? was[key] : undefined, keptIn(kept, key), value, mine),
      ]),
    );
  }
  return mine(after) ? gone : after;
};

const withoutGone = (kept: Kept): Json | undefined => {
  if (kept === gone) return undefined;
  if (Array.isArray(kept))
    return kept.map(withoutGone).filter((element): element is Json => element !== undefined);
  if (typeof kept !== 'object' || kept === null) return kept as Json;
  return Object.fromEntries(
    Object.entries(kept)
      // An object of which nothing is left says that the person wrote one.
      .map(([key, value]) => [key, isHollow(value) ? undefined : withoutGone(value)] as const)
      .filter((entry): entry is readonly [string, Json] => entry[1] !== undefined),
  );
};

/** Whether everything in it was the person's; an empty one was nobody's. */
const isHollow = (kept: Kept): boolean => {
  if (kept === gone) return true;
  if (typeof kept !== 'object' || kept === null) return false;
  const inside = Object.values(kept) as Kept[];
  return inside.length > 0 && inside.every(isHollow);
};

/** Every text in a value. The names of its fields are none: whoever writes a field again uses the same. */
export const textsIn = (value: Json, found: (text: string) => void): void => {
  if (typeof value === 'string') found(value);
  else if (Array.isArray(value)) for (const one of value as readonly Json[]) textsIn(one, found);
  else if (isJsonObject(value)) for (const one of Object.values(value)) textsIn(one, found);
};

/** Texts of one document that are remembered as the person's. */
const maxTexts = 20_000;

/** What of a document is left without one person, version by version. */
export interface DocumentTrace {
  /** The value of this version without what the person wrote. */
  next(change: TracedChange): Json;
  /** It was deleted: who writes it anew writes all of it. */
  deleted(): void;
  /** The value of the last version without what the person wrote. */
  readonly last: Json;
  /** A value of the person that lost and may come back. */
  lost(value: Json): void;
  /** Whether a value holds a text that only the person wrote. */
  holds(value: Json): boolean;
  /** Whether nobody else ever wrote to it. */
  readonly alone: boolean;
}

/**
 * Follows a document from its first version: what changes in a version is whoever wrote it, what does not stays whose it
 * was. Where somebody ends a conflict, texts the person wrote before stay the person's.
 */
export const documentTrace = (): DocumentTrace => {
  const texts = new Set<string>();
  const others = new Set<string>();
  let value: Json | undefined;
  let kept: Kept | undefined;
  let last: Json = null;
  let alone = true;
  const noteIn = (known: Set<string>) => (text: string) => {
    if (known.size < maxTexts) known.add(text);
  };
  const note = noteIn(texts);
  return {
    next: (change) => {
      const back: IsMine = (leaf) => change.restores && typeof leaf === 'string' && texts.has(leaf);
      kept = keep(value, kept, change.value, change.mine ? () => true : back);
      value = change.value;
      if (!change.mine) alone = false;
      else noteNew(kept, value, note);
      last = withoutGone(kept) ?? null;
      textsIn(last, noteIn(others));
      return last;
    },
    deleted: () => {
      value = undefined;
      kept = undefined;
    },
    get last() {
      return last;
    },
    lost: (one) => textsIn(one, note),
    holds: (one) => {
      let found = false;
      textsIn(one, (text) => {
        found ||= texts.has(text) && !others.has(text);
      });
      return found;
    },
    get alone() {
      return alone;
    },
  };
};

/** Notes the texts of a value that are gone from it. */
const noteNew = (kept: Kept | undefined, value: Json, found: (text: string) => void): void => {
  if (kept === gone) textsIn(value, found);
  else if (Array.isArray(value))
    for (const [at, one] of (value as readonly Json[]).entries()) noteNew(listOf(kept)[at], one, found);
  else if (isJsonObject(value))
    for (const [key, one] of Object.entries(value)) noteNew(keptIn(kept, key), one, found);
};
