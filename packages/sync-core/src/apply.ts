import { jsonEqual } from './canonical.ts';
import { isForbiddenKey, isJsonObject, type Json, type JsonObject } from './json.ts';
import type { Op, Path } from './mutation.ts';

/** Why an operation cannot be applied to this value; the code of a rejected mutation. */
export type ApplyFault = 'not_an_object' | 'not_a_set' | 'not_a_number' | 'out_of_range';

/** The changed value, or why not. */
export type Applied = { readonly value: Json | undefined } | { readonly fault: ApplyFault };

/** The value at a path; undefined when there is none. */
export const valueAt = (value: Json | undefined, path: Path): Json | undefined => {
  let here = value;
  for (const key of path) {
    if (!isJsonObject(here) || !Object.hasOwn(here, key)) return undefined;
    here = here[key];
  }
  return here;
};

const withKey = (object: JsonObject, key: string, value: Json | undefined): JsonObject => {
  if (isForbiddenKey(key)) throw new TypeError(`the key ${key} is refused`);
  if (value === undefined) {
    const { [key]: _, ...rest } = object;
    return rest;
  }
  return { ...object, [key]: value };
};

/** Changes what is at the end of a path by `change`; nothing else is touched, nothing is changed in place. */
const changeAt = (
  value: Json | undefined,
  path: Path,
  change: (old: Json | undefined) => Applied,
): Applied => {
  const [key, ...rest] = path;
  if (key === undefined) return change(value);
  if (value !== undefined && !isJsonObject(value)) return { fault: 'not_an_object' };
  const object = value ?? {};
  const inner = changeAt(Object.hasOwn(object, key) ? object[key] : undefined, rest, change);
  if ('fault' in inner) return inner;
  return { value: withKey(object, key, inner.value) };
};

const addTo = (set: readonly Json[], item: Json): readonly Json[] =>
  set.some((known) => jsonEqual(known, item)) ? set : [...set, item];

/**
 * One operation on a value. Missing objects on the way are made; taking away what is not there changes nothing.
 * `undefined` stands for a document that is not there.
 */
export const applyOp = (value: Json | undefined, op: Op): Applied => {
  switch (op.op) {
    case 'delete':
      return { value: undefined };
    case 'set':
      return changeAt(value, op.path, () => ({ value: op.value }));
    case 'unset':
      if (valueAt(value, op.path) === undefined) return { value };
      return changeAt(value, op.path, () => ({ value: undefined }));
    case 'add':
    case 'remove': {
      const old = valueAt(value, op.path);
      if (op.op === 'remove' && old === undefined) return { value };
      return changeAt(value, op.path, (set = []) => {
        if (!Array.isArray(set)) return { fault: 'not_a_set' };
        if (op.op === 'add') return { value: addTo(set, op.value) };
        return { value: set.filter((item: Json) => !jsonEqual(item, op.value)) };
      });
    }
    case 'increment':
      return changeAt(value, op.path, (old = 0) => {
        if (typeof old !== 'number') return { fault: 'not_a_number' };
        const sum = old + op.value;
        return Math.abs(sum) <= Number.MAX_SAFE_INTEGER ? { value: sum } : { fault: 'out_of_range' };
      });
  }
};

/** Operations one after the other; the first that cannot be applied refuses them all. */
export const applyOps = (value: Json | undefined, ops: readonly Op[]): Applied => {
  let here = value;
  for (const op of ops) {
    const applied = applyOp(here, op);
    if ('fault' in applied) return applied;
    here = applied.value;
  }
  return { value: here };
};
