import { jsonEqual } from './equal.ts';
import { isForbiddenKey, isJsonObject, type Json, type JsonObject } from './json.ts';
import type { Op, Path } from './mutation.ts';

/** Why an operation cannot be applied to this value; the code of a rejected mutation. */
export type ApplyFault = 'not_an_object' | 'not_a_set' | 'not_a_number' | 'out_of_range';

/** The changed value, or why not. */
export type Applied = { value: Json | undefined } | { readonly fault: ApplyFault };

/**
 * Objects made by one run of operations: these alone it may change in place, so that a hundred operations on a large
 * object copy it once.
 */
export type Owned = WeakSet<object>;

/** The value at a path; undefined when there is none. */
export const valueAt = (value: Json | undefined, path: Path): Json | undefined => {
  let here = value;
  for (const key of path) {
    if (!isJsonObject(here) || !Object.hasOwn(here, key)) return undefined;
    here = here[key];
  }
  return here;
};

/** Whether everything on the way to the end of a path is an object, or not there yet. */
const isReachable = (value: Json | undefined, path: Path): boolean => {
  let here = value;
  for (const key of path) {
    if (here === undefined) return true;
    if (!isJsonObject(here)) return false;
    here = Object.hasOwn(here, key) ? here[key] : undefined;
  }
  return true;
};

const writable = (object: JsonObject, owned: Owned): Record<string, Json> => {
  if (owned.has(object)) return object as Record<string, Json>;
  const copy = { ...object };
  owned.add(copy);
  return copy;
};

/** Puts a value at the end of a reachable path; missing objects on the way are made. */
export const putAt = (
  value: Json | undefined,
  path: Path,
  leaf: Json | undefined,
  owned: Owned = new WeakSet(),
): Json | undefined => {
  const [key, ...rest] = path;
  if (key === undefined) return leaf;
  if (isForbiddenKey(key)) throw new TypeError(`the key ${key} is refused`);
  const object = writable(isJsonObject(value) ? value : {}, owned);
  const inner = putAt(Object.hasOwn(object, key) ? object[key] : undefined, rest, leaf, owned);
  if (inner === undefined) delete object[key];
  else object[key] = inner;
  return object;
};

const addTo = (set: readonly Json[], item: Json): readonly Json[] =>
  set.some((known) => jsonEqual(known, item)) ? set : [...set, item];

/** What one operation makes of what is at its path; the value around it is not touched. */
export const leafAfter = (value: Json | undefined, op: Op): Applied => {
  if (!isReachable(value, op.path)) {
    // There is nothing to take away where nothing can be.
    return op.op === 'unset' || op.op === 'remove' ? { value: undefined } : { fault: 'not_an_object' };
  }
  const old = valueAt(value, op.path);
  switch (op.op) {
    case 'delete':
    case 'unset':
      return { value: undefined };
    case 'set':
      return { value: op.value };
    case 'add':
    case 'remove':
      if (old === undefined && op.op === 'remove') return { value: undefined };
      if (old !== undefined && !Array.isArray(old)) return { fault: 'not_a_set' };
      if (op.op === 'add') return { value: addTo(old ?? [], op.value) };
      return { value: old?.filter((item: Json) => !jsonEqual(item, op.value)) };
    case 'increment': {
      if (old !== undefined && typeof old !== 'number') return { fault: 'not_a_number' };
      const sum = (old ?? 0) + op.value;
      return Math.abs(sum) <= Number.MAX_SAFE_INTEGER ? { value: sum } : { fault: 'out_of_range' };
    }
  }
};

/**
 * One operation on a value. Missing objects on the way are made; taking away what is not there changes nothing.
 * `undefined` stands for a document that is not there.
 */
export const applyOp = (value: Json | undefined, op: Op, owned?: Owned): Applied => {
  const leaf = leafAfter(value, op);
  if ('fault' in leaf) return leaf;
  if (leaf.value === undefined && valueAt(value, op.path) === undefined) return { value };
  return { value: putAt(value, op.path, leaf.value, owned) };
};

/** Operations one after the other; the first that cannot be applied refuses them all. */
export const applyOps = (value: Json | undefined, ops: readonly Op[]): Applied => {
  const owned: Owned = new WeakSet();
  let here = value;
  for (const op of ops) {
    const applied = applyOp(here, op, owned);
    if ('fault' in applied) return applied;
    here = applied.value;
  }
  return { value: here };
};
