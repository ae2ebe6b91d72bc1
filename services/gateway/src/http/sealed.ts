/** A list of texts as one word for paths and cursors. */
export const sealed = (parts: readonly string[]): string =>
  Buffer.from(JSON.stringify(parts)).toString('base64url');

/** The texts of such a word; undefined when it is none of ours. */
export const opened = (word: string, count: number): readonly string[] | undefined => {
  try {
    const parts: unknown = JSON.parse(Buffer.from(word, 'base64url').toString());
    if (!Array.isArray(parts) || parts.length !== count) return undefined;
    return parts.every((part) => typeof part === 'string') ? parts : undefined;
  } catch {
    return undefined;
  }
};
