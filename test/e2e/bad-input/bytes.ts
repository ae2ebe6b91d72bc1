/**
 * What is sent: text with names in braces (`{me}`, `{other}`, `{otherSpace}`, `{token}`) that the test fills in, text
 * with a long stretch in it, or bytes as hexadecimal digits.
 */
export type Sent =
  | string
  | {
      readonly head: string;
      readonly fill: string;
      readonly times: number;
      /** Behind what was filled, as often: what closes it. */
      readonly close?: string;
      readonly tail: string;
    }
  | { readonly hex: string };

/** The bytes, names filled in. */
export const bytesOf = (sent: Sent, names: Readonly<Record<string, string>>): Buffer => {
  const named = (text: string) => text.replace(/\{(\w+)\}/g, (all, name: string) => names[name] ?? all);
  if (typeof sent === 'string') return Buffer.from(named(sent));
  if ('hex' in sent) return Buffer.from(sent.hex.replaceAll(' ', ''), 'hex');
  const { head, fill, times, close = '', tail } = sent;
  return Buffer.from(named(head) + fill.repeat(times) + close.repeat(times) + named(tail));
};

/** The same for a reader. */
export const shown = (sent: Sent): string => {
  if (typeof sent === 'string') return sent;
  if ('hex' in sent) return `bytes ${sent.hex}`;
  const { head, fill, times, close = '', tail } = sent;
  return `${head}${fill}… (${times.toLocaleString('en')} times)…${close}${tail}`;
};
