/**
 * What is sent: text with names in braces (`{me}`, `{other}`, `{otherSpace}`, `{token}`) that the test fills in, text
 * with a long stretch in it, or bytes as hexadecimal digits.
 */
export type Sent =
  | string
  | { readonly head: string; readonly fill: string; readonly times: number; readonly tail: string }
  | { readonly hex: string };

/** The bytes, names filled in. */
export const bytesOf = (sent: Sent, names: Readonly<Record<string, string>>): Buffer => {
  const named = (text: string) => text.replace(/\{(\w+)\}/g, (all, name: string) => names[name] ?? all);
  if (typeof sent === 'string') return Buffer.from(named(sent));
  if ('hex' in sent) return Buffer.from(sent.hex.replaceAll(' ', ''), 'hex');
  return Buffer.from(named(sent.head) + sent.fill.repeat(sent.times) + named(sent.tail));
};

/** The same for a reader. */
export const shown = (sent: Sent): string => {
  if (typeof sent === 'string') return sent;
  if ('hex' in sent) return `bytes ${sent.hex}`;
  return `${sent.head}${sent.fill}… (${sent.times.toLocaleString('en')} times)…${sent.tail}`;
};
