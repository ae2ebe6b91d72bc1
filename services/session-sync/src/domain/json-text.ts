/** JSON that is already text and must stay as it is, byte for byte. */
export interface JsonText {
  readonly json: string;
}

/** Marks a text as JSON; the caller has made sure that it parses. */
export const jsonText = (json: string): JsonText => ({ json });

const isJsonText = (value: unknown): value is JsonText =>
  typeof value === 'object' && value !== null && typeof (value as JsonText).json === 'string';

/** One object as JSON text. Fields that are undefined are left out; `JsonText` goes in as it is. */
export const encodeObject = (fields: Readonly<Record<string, unknown>>): string => {
  const parts: string[] = [];
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    parts.push(`${JSON.stringify(key)}:${isJsonText(value) ? value.json : JSON.stringify(value)}`);
  }
  return `{${parts.join(',')}}`;
};

const endOfString = (text: string, from: number): number => {
  let at = from + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
};

/** Where the value that begins at `from` ends. */
const endOfValue = (text: string, from: number): number => {
  if (text[from] === '"') return endOfString(text, from);
  if (text[from] !== '{' && text[from] !== '[') {
    const length = text.slice(from).search(/[,}\]\s]/);
    return length < 0 ? text.length : from + length;
  }
  let depth = 0;
  for (let at = from; ; ) {
    const char = text[at];
    if (char === '"') {
      at = endOfString(text, at);
      continue;
    }
    if (char === '{' || char === '[') depth += 1;
    if (char === '}' || char === ']') depth -= 1;
    at += 1;
    if (depth === 0) return at;
  }
};

/**
 * The text of a member of an object, byte for byte as it stands there; undefined when it has none. The object is one
 * that `encodeObject` has written, or JSON text within it; of a key that is there twice the last one counts.
 */
export const memberText = (object: string, member: string): string | undefined => {
  let found: string | undefined;
  const blank = (from: number) => {
    let at = from;
    while (/\s/.test(object[at] ?? '')) at += 1;
    return at;
  };
  let at = blank(blank(0) + 1);
  while (object[at] === '"') {
    const keyEnd = endOfString(object, at);
    const key = JSON.parse(object.slice(at, keyEnd)) as string;
    const from = blank(blank(keyEnd) + 1);
    const end = endOfValue(object, from);
    if (key === member) found = object.slice(from, end);
    at = blank(end);
    if (object[at] === ',') at = blank(at + 1);
  }
  return found;
};
