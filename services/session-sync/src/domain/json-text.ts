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
