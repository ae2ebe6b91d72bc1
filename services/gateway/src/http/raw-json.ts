import { AppError } from '@skein/contracts';

/**
 * The text of one member of a JSON document as its author wrote it: classic clients compare serialised text, and
 * `1.0`, `\u00e9` or the order of keys would not survive parsing and printing.
 */

const space = /[\t\n\r ]/;

/** Index after the string that starts at `at`. */
const afterString = (text: string, at: number): number => {
  let end = at + 1;
  while (text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
  return end + 1;
};

const afterSpace = (text: string, at: number): number => {
  let end = at;
  while (space.test(text[end] ?? '')) end += 1;
  return end;
};

/** Index after the value that starts at `at`. */
const afterValue = (text: string, at: number): number => {
  let depth = 0;
  let end = at;
  do {
    const char = text[end];
    if (char === '"') end = afterString(text, end);
    else {
      if (char === '{' || char === '[') depth += 1;
      else if (char === '}' || char === ']') depth -= 1;
      end += 1;
      // A number or a word: until what can follow it.
      if (depth === 0 && char !== '}' && char !== ']') {
        while (end < text.length && !/[\t\n\r ,}\]]/.test(text[end] ?? '')) end += 1;
      }
    }
  } while (depth > 0);
  return end;
};

/** The raw text of the member `key` of the object text; the last one when it stands there twice, as JSON.parse has it. */
const member = (text: string, key: string): string | undefined => {
  let found: string | undefined;
  let at = afterSpace(text, 0);
  if (text[at] !== '{') return undefined;
  at = afterSpace(text, at + 1);
  while (text[at] === '"') {
    const keyEnd = afterString(text, at);
    const name = JSON.parse(text.slice(at, keyEnd)) as string;
    const start = afterSpace(text, afterSpace(text, keyEnd) + 1);
    const end = afterValue(text, start);
    if (name === key) found = text.slice(start, end);
    at = afterSpace(text, end);
    if (text[at] === ',') at = afterSpace(text, at + 1);
  }
  return found;
};

/** The raw text at a path of object keys. The text must be valid JSON (see `parseStrictJson`). */
export const rawMember = (text: string, path: readonly string[]): string => {
  let found: string | undefined = text;
  for (const key of path) found = found === undefined ? undefined : member(found, key);
  if (found === undefined) throw new AppError('invalid_request', `${path.join('.')} is required`);
  return found;
};
