/**
 * Terms of a text for searching: words of scripts with spaces, pairs of neighbouring characters of those
 * without (Chinese, Japanese), lower case, without the shortest words.
 */
export const terms = (text: string): Set<string> => {
  const found = new Set<string>();
  for (const [run] of text
    .toLowerCase()
    .matchAll(/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]+|[\p{L}\p{N}]+/gu)) {
    const points = [...run];
    const spaceless = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u.test(run);
    if (!spaceless) {
      if (points.length > 2) found.add(run);
    } else if (points.length === 1) {
      found.add(run);
    } else {
      for (let at = 0; at + 1 < points.length; at += 1) found.add(`${points[at]}${points[at + 1]}`);
    }
    // A bound: a pasted book is matched by its beginning.
    if (found.size > 200) break;
  }
  return found;
};

/** The items that share terms with the query, most shared first, at most `limit`. */
export const matching = <T extends { readonly text: string }>(
  query: string,
  items: readonly T[],
  limit: number,
): T[] => {
  const wanted = terms(query);
  const scored = items.map((item) => {
    const has = terms(item.text);
    let score = 0;
    for (const term of wanted) if (has.has(term)) score += 1;
    return { item, score };
  });
  return scored
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score)
    .slice(0, limit)
    .map(({ item }) => item);
};
