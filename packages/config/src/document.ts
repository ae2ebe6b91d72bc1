import { parse, stringify } from 'yaml';
import { maxDocumentBytes, type Settings } from './config-store.ts';

/** What a text says, or why it says nothing. */
export type Reading =
  | { readonly settings: Settings; readonly fault?: never }
  | { readonly settings: Settings; readonly fault: string };

/** Whether a value is a mapping of names. */
export const isMapping = (value: unknown): value is Settings =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** YAML (of which JSON is a part) as a mapping; an empty text is an empty one. */
export const readDocument = (text: string): Reading => {
  if (Buffer.byteLength(text) > maxDocumentBytes)
    return { settings: {}, fault: `is larger than ${maxDocumentBytes} bytes` };
  try {
    // Aliases are refused: a few bytes of them can stand for gigabytes.
    const value = (parse(text, { maxAliasCount: 0, logLevel: 'error' }) ?? {}) as unknown;
    return isMapping(value)
      ? { settings: value }
      : { settings: {}, fault: 'must be a mapping of settings to their values' };
  } catch (error) {
    // The message goes on with the line itself, in which a secret may stand.
    const [first = ''] = (error instanceof Error ? error.message : String(error)).split(':\n');
    return { settings: {}, fault: `is not YAML: ${first}` };
  }
};

/** A mapping as YAML, for people. */
export const writeDocument = (settings: Settings): string => stringify(settings, { lineWidth: 0 });
