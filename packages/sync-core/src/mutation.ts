import { parseHlc } from './hlc.ts';
import { isForbiddenKey, isJsonObject, type Json } from './json.ts';

/** Object keys from the top of a document; empty: the whole document. */
export type Path = readonly string[];

/** One change inside a document. Arrays are values, except for `add` and `remove`, where they are sets. */
export type Op =
  | { readonly op: 'set'; readonly path: Path; readonly value: Json }
  | { readonly op: 'unset'; readonly path: Path }
  | { readonly op: 'add' | 'remove'; readonly path: Path; readonly value: Json }
  | { readonly op: 'increment'; readonly path: Path; readonly value: number }
  | { readonly op: 'delete'; readonly path: readonly [] };

/** What one device wants changed in one document. */
export interface Mutation {
  /** Counts per person, device and space from 1. */
  readonly seq: number;
  readonly collection: string;
  readonly id: string;
  /** The version the device saw; 0: the document must not exist. */
  readonly baseVersion: number;
  readonly ops: readonly Op[];
  readonly hlc: string;
}

/** What became of a mutation. */
export interface MutationResult {
  readonly seq: number;
  readonly outcome: 'applied' | 'merged' | 'rejected' | 'conflict' | 'stale' | 'duplicate';
  readonly version?: number;
  readonly offset?: number;
  /** The value there is now, when it is not what the device expects. */
  readonly value?: Json;
  readonly conflictId?: string;
  /** Why it was rejected. */
  readonly code?: string;
  /** Where, when one place of it is at fault. */
  readonly path?: string;
  /** The first answer, for a repetition. */
  readonly original?: MutationResult;
}

/** Bounds of a mutation. */
export const mutationLimits = {
  ops: 100,
  pathDepth: 8,
  keyLength: 256,
  valueDepth: 64,
} as const;

/** A mutation, or what is wrong with it; `seq` is there when at least that could be read. */
export type Decoded =
  | { readonly mutation: Mutation }
  | { readonly fault: { readonly path: string; readonly message: string }; readonly seq: number | undefined };

class Fault extends Error {
  readonly path: string;
  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

const fail = (path: string, message: string): never => {
  throw new Fault(path, message);
};

/**
 * The two names of a document, for every way in: whoever writes one by one protocol can be read by another. `Cc` are
 * control characters, `Cs` halves of a surrogate pair; lengths count Unicode code points.
 */
export const namePatterns = {
  /** Stands in paths and is chosen by programs, so it has neither spaces nor slashes. */
  collection: /^[^\s/\p{Cc}\p{Cs}]{1,128}$/u,
  /** May be anything a person would write. */
  documentId: /^[^\p{Cc}\p{Cs}]{1,256}$/u,
} as const;

/** Whether a text can name a collection. */
export const isCollectionName = (text: string): boolean =>
  namePatterns.collection.test(text) && !isForbiddenKey(text);

/** Whether a text can be the id of a document. */
export const isDocumentId = (text: string): boolean => namePatterns.documentId.test(text);

/** Half of a surrogate pair has no UTF-8 and would come back as something else. */
const checkText = (at: string, text: string): void => {
  if (!text.isWellFormed()) fail(at, 'must be well-formed Unicode');
};

const checkValue = (at: string, value: unknown, depth = 0): Json => {
  if (depth > mutationLimits.valueDepth) fail(at, `is nested deeper than ${mutationLimits.valueDepth}`);
  if (Array.isArray(value)) for (const item of value) checkValue(at, item, depth + 1);
  else if (isJsonObject(value)) {
    for (const key of Object.keys(value)) {
      if (isForbiddenKey(key)) fail(at, `must not have the key ${key}`);
      checkText(at, key);
      checkValue(at, value[key], depth + 1);
    }
  } else if (typeof value === 'string') checkText(at, value);
  else if (typeof value === 'number' && !Number.isFinite(value)) fail(at, 'must be finite');
  else if (value === undefined) fail(at, 'is required');
  return value as Json;
};

/** What no document may hold, and where; undefined for a value that may be stored. */
export const valueFault = (
  value: unknown,
): { readonly path: string; readonly message: string } | undefined => {
  try {
    checkValue('', value);
    return undefined;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return { path: error.path, message: error.message };
  }
};

const checkPath = (at: string, path: unknown): Path => {
  if (!Array.isArray(path)) return fail(at, 'must be a list of keys');
  if (path.length > mutationLimits.pathDepth) fail(at, `must have at most ${mutationLimits.pathDepth} keys`);
  for (const key of path) {
    if (typeof key !== 'string') fail(at, 'must be a list of keys');
    else if (key.length > mutationLimits.keyLength)
      fail(at, `has a key longer than ${mutationLimits.keyLength}`);
    else if (isForbiddenKey(key)) fail(at, `must not have the key ${key}`);
    else checkText(at, key);
    // Paths name fields in places that cannot keep it.
    if (key.includes('\u0000')) fail(at, 'must not contain U+0000');
  }
  return path as string[];
};

const checkOp = (at: string, input: unknown): Op => {
  if (!isJsonObject(input)) return fail(at, 'must be an object');
  const path = checkPath(`${at}.path`, input.op === 'delete' ? (input.path ?? []) : input.path);
  const value = () => checkValue(`${at}.value`, input.value);
  switch (input.op) {
    case 'set':
      return { op: 'set', path, value: value() };
    case 'unset':
      return path.length === 0 ? fail(`${at}.path`, 'must name a field') : { op: 'unset', path };
    case 'add':
    case 'remove':
      return path.length === 0
        ? fail(`${at}.path`, 'must name a field')
        : { op: input.op, path, value: value() };
    case 'increment':
      if (path.length === 0) fail(`${at}.path`, 'must name a field');
      return typeof input.value === 'number' && Math.abs(input.value) <= Number.MAX_SAFE_INTEGER
        ? { op: 'increment', path, value: input.value }
        : fail(`${at}.value`, 'must be a number within ±2^53');
    case 'delete':
      return path.length === 0 ? { op: 'delete', path: [] } : fail(`${at}.path`, 'must be empty');
    default:
      return fail(`${at}.op`, 'must be set, unset, add, remove, increment or delete');
  }
};

const wholeNumber = (at: string, value: unknown, min: number): number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= min
    ? value
    : fail(at, `must be a whole number from ${min}`);

/** Reads a mutation strictly: anything malformed is a fault with its path. Unknown fields are passed over. */
export const decodeMutation = (input: unknown): Decoded => {
  let seq: number | undefined;
  try {
    if (!isJsonObject(input)) return fail('', 'must be an object');
    seq = wholeNumber('seq', input.seq, 1);
    const { collection, id, ops, hlc } = input;
    if (typeof collection !== 'string' || !isCollectionName(collection))
      return fail('collection', 'must be 1 to 128 characters without spaces and slashes');
    if (typeof id !== 'string' || !isDocumentId(id))
      return fail('id', 'must be 1 to 256 printable characters');
    const baseVersion = wholeNumber('baseVersion', input.baseVersion, 0);
    if (!Array.isArray(ops) || ops.length === 0 || ops.length > mutationLimits.ops)
      return fail('ops', `must be a list of 1 to ${mutationLimits.ops} operations`);
    const checked = ops.map((op: unknown, at: number) => checkOp(`ops[${at}]`, op));
    if (checked.length > 1 && checked.some(({ op }) => op === 'delete'))
      return fail('ops', 'a delete must stand alone');
    if (typeof hlc !== 'string' || hlc.length > 300 || !parseHlc(hlc))
      return fail('hlc', 'must be <ms, 12 hex>-<counter, 4 hex>-<device>');
    return { mutation: { seq, collection, id, baseVersion, ops: checked, hlc } };
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return { fault: { path: error.path, message: error.message }, seq };
  }
};
