/** What session-sync takes in one call. */
const callBytes = 2_000_000;

/**
 * JSON of mutations for one call of session-sync: of all, or of as many of the first as fit. What came in one frame may
 * not fit: `1e20` is written out with its 21 digits. Those left out have no result, and their device goes on with them
 * after the last that has one. One that does not fit by itself stands there as `{seq, refused}`, because without an
 * answer of its own its device could never go on to the next.
 */
export const mutationsJson = (mutations: readonly { readonly seq: number }[]): string => {
  const all = JSON.stringify(mutations);
  // A UTF-16 code unit takes 3 bytes at most.
  if (3 * all.length <= callBytes || Buffer.byteLength(all) <= callBytes) return all;
  const texts: string[] = [];
  let bytes = '[]'.length;
  for (const mutation of mutations) {
    const whole = JSON.stringify(mutation);
    const fits = Buffer.byteLength(whole) + '[]'.length <= callBytes;
    const text = fits ? whole : JSON.stringify({ seq: mutation.seq, refused: 'too_large' });
    bytes += Buffer.byteLength(text) + (texts.length > 0 ? ','.length : 0);
    if (bytes > callBytes) break;
    texts.push(text);
  }
  return `[${texts.join(',')}]`;
};
