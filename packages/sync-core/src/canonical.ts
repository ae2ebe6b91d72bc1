import { isJsonObject, type Json } from './json.ts';

/** Deeper values are refused: they would only exhaust the stack. */
const maxDepth = 1_000;

const write = (value: Json, depth: number): string => {
  if (depth > maxDepth) throw new RangeError(`JSON is nested deeper than ${maxDepth}`);
  if (Array.isArray(value)) return `[${value.map((item: Json) => write(item, depth + 1)).join(',')}]`;
  if (isJsonObject(value)) {
    // RFC 8785 sorts by UTF-16 code units, which is what the default sort compares.
    const members = Object.keys(value)
      .sort()
      .map((key) => `${JSON.stringify(key)}:${write(value[key] as Json, depth + 1)}`);
    return `{${members.join(',')}}`;
  }
  if (typeof value === 'number' && !Number.isFinite(value)) throw new RangeError(`${value} is not JSON`);
  return JSON.stringify(value);
};

/** A value in the form of RFC 8785 (JSON Canonicalization Scheme): equal values give equal texts. */
export const canonicalJson = (value: Json): string => write(value, 0);
