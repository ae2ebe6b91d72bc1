import type { MessageRow } from '../domain/state.ts';

/** Terms looked for at once: bounds the work of the database. */
const maxTerms = 32;

const han = /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}/u;
const words = /[\p{L}\p{N}]+/gu;

/**
 * What to look for: words of two letters or more, and for scripts without spaces every pair of neighbouring
 * characters (a single one counts as it is). Lower case, each once.
 */
export const searchTerms = (query: string): readonly string[] => {
  const terms = new Set<string>();
  for (const [word] of query.normalize('NFC').toLowerCase().matchAll(words)) {
    // A word may mix scripts: "GPT模型".
    for (const run of word.split(
      /((?:\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul})+)/u,
    )) {
      const points = Array.from(run);
      if (points.length === 0) continue;
      if (!han.test(run)) {
        if (points.length > 1) terms.add(run);
      } else if (points.length === 1) terms.add(run);
      else for (let at = 0; at + 1 < points.length; at += 1) terms.add(points.slice(at, at + 2).join(''));
    }
  }
  return [...terms].slice(0, maxTerms);
};

/** The messages that hold most of the terms, longer terms counting more; of equals the newer first. */
export const rankMatches = (
  messages: readonly MessageRow[],
  terms: readonly string[],
  limit: number,
): readonly MessageRow[] =>
  messages
    .map((message) => {
      const text = message.text.normalize('NFC').toLowerCase();
      let score = 0;
      for (const term of terms) if (text.includes(term)) score += term.length;
      return { message, score };
    })
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score || b.message.offset - a.message.offset)
    .slice(0, limit)
    .map(({ message }) => message);
