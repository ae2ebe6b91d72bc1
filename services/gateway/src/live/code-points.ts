/** Unicode code points of a text: what `from` in `token` frames counts. */
export const pointsOf = (text: string): number => {
  let points = text.length;
  for (let at = 0; at < text.length - 1; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit < 0xd800 || unit > 0xdbff) continue;
    const next = text.charCodeAt(at + 1);
    if (next < 0xdc00 || next > 0xdfff) continue;
    points -= 1;
    at += 1;
  }
  return points;
};

/** Where the code point number `points` begins, in UTF-16 units; the length when the text has fewer. */
const unitOf = (text: string, points: number): number => {
  let at = 0;
  for (let seen = 0; seen < points && at < text.length; seen += 1) {
    at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
  }
  return at;
};

/** The first `points` code points. */
export const takePoints = (text: string, points: number): string => text.slice(0, unitOf(text, points));

/** Everything after the first `points` code points. */
export const dropPoints = (text: string, points: number): string => text.slice(unitOf(text, points));
