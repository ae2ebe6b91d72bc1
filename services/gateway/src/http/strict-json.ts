import { AppError, toAppError } from '@skein/contracts';

/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Deeper values are refused: nothing of ours nests like that, and whoever walks a value may recurse. */
export const maxJsonDepth = 32;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * JSON can write what nothing behind us can keep (RFC 7493 forbids both): halves of surrogate pairs, which have no
 * UTF-8 and would come back as another character, and numbers beyond a double, which would come back as null.
 */
const refuseLossy = (value: Json): void => {
  if (typeof value === 'string' && !value.isWellFormed()) {
    throw new AppError('invalid_request', 'The body holds half of a surrogate pair');
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new AppError('invalid_request', 'The body holds a number that is too large');
  }
};

/** Walks without recursion, so that depth is measured before anything can overflow a stack. */
const refuseBadShapes = (root: Json, rootDepth = 1): void => {
  const pending: { value: Json; depth: number }[] = [{ value: root, depth: rootDepth }];
  for (let next = pending.pop(); next; next = pending.pop()) {
    if (typeof next.value !== 'object' || next.value === null) {
      refuseLossy(next.value);
      continue;
    }
    if (next.depth > maxJsonDepth) {
      throw new AppError('invalid_request', `The body is nested deeper than ${maxJsonDepth} levels`);
    }
    // JSON.parse makes `__proto__` an own key; code that copies objects could turn it into a prototype.
    if (Object.hasOwn(next.value, '__proto__')) {
      throw new AppError('invalid_request', 'The key __proto__ is not allowed');
    }
    if (!Array.isArray(next.value)) for (const key of Object.keys(next.value)) refuseLossy(key);
    for (const child of Object.values(next.value)) pending.push({ value: child, depth: next.depth + 1 });
  }
};

/** The level of an element of a list in the document. */
const elementDepth = 3;

/**
 * The document with its list of mutations checked one by one: one that is refused for its shape stands there as
 * `{seq, refused}`, because without an answer of its own its device could never go on to the next.
 */
const checkedApart = (rest: Json, mutations: readonly Json[]): Json => {
  refuseBadShapes(rest);
  const checked = mutations.map((one: Json): Json => {
    try {
      refuseBadShapes(one, elementDepth);
      return one;
    } catch (error) {
      const seq = typeof one === 'object' && one !== null && 'seq' in one ? one.seq : undefined;
      if (typeof seq !== 'number' || !Number.isSafeInteger(seq)) throw error;
      return { seq, refused: toAppError(error).detail };
    }
  });
  return { ...(rest as { readonly [key: string]: Json }), mutations: checked };
};

/** A parsed document with the text it was made from. */
export interface ParsedJson {
  readonly value: Json;
  readonly text: string;
}

/**
 * The JSON value in the bytes, with their text. AppError `malformed_json` for what is not JSON in valid UTF-8,
 * `invalid_request` for more than 32 levels, for `__proto__` keys and for what cannot be kept as it is. In a list
 * `mutations` these take only their own element's place.
 */
export const readStrictJson = (bytes: Uint8Array): ParsedJson => {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch (cause) {
    throw new AppError('malformed_json', 'The body is not valid UTF-8', { cause });
  }
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (cause) {
    throw new AppError('malformed_json', undefined, { cause });
  }
  if (typeof value === 'object' && value !== null && 'mutations' in value) {
    const { mutations, ...rest } = value;
    if (Array.isArray(mutations)) return { value: checkedApart(rest, mutations), text };
  }
  refuseBadShapes(value);
  return { value, text };
};

/** The value alone; faults as in `readStrictJson`. */
export const parseStrictJson = (bytes: Uint8Array): Json => readStrictJson(bytes).value;
