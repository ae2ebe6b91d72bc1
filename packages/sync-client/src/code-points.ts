/** Unicode code points of a text: what `from` in a `token` frame counts. UTF-16 pairs count once. */
export function codePoints(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; count++) at += width(text, at);
  return count;
}

/** The first `count` code points of a text, or all of it when it has fewer. */
export function firstCodePoints(text: string, count: number): string {
  let at = 0;
  for (let seen = 0; seen < count && at < text.length; seen++) at += width(text, at);
  return text.slice(0, at);
}

function width(text: string, at: number): 1 | 2 {
  const code = text.codePointAt(at);
  return code !== undefined && code > 0xffff ? 2 : 1;
}
