/** A service's log for people. */

const levels: Readonly<Record<string, string>> = {
  trace: '90',
  debug: '90',
  info: '36',
  warn: '33',
  error: '31',
  fatal: '31;1',
};

/** Shown in columns of their own, or of use to machines only. */
const hidden = new Set([
  'level',
  'time',
  'service',
  'instance',
  'msg',
  'trace_id',
  'span_id',
  'pid',
  'hostname',
]);

const paint = (colour: boolean, code: string, text: string): string =>
  colour ? `\u001b[${code}m${text}\u001b[0m` : text;

/** Log lines carry what strangers sent: nothing of it may steer the terminal. */
const harmless = (text: string): string =>
  text.replace(/(?!\t)\p{Cc}/gu, (one) => `\\x${one.charCodeAt(0).toString(16).padStart(2, '0')}`);

const recordOf = (line: string): Record<string, unknown> | undefined => {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    // Not ours (a crash report, a library's print): shown as it is.
    return undefined;
  }
};

/** The sentence of an error: its detail when it has one, which is its message without the code in front. */
export const sentenceOf = (error: unknown): string | undefined => {
  if (typeof error !== 'object' || error === null) return undefined;
  if ('detail' in error && typeof error.detail === 'string' && error.detail !== '') return error.detail;
  return 'message' in error ? String(error.message) : undefined;
};

const rest = (record: Record<string, unknown>, message: string): string =>
  Object.entries(record)
    .filter(([key]) => !hidden.has(key))
    .map(([key, value]) => {
      const shown = key === 'err' ? (sentenceOf(value) ?? value) : value;
      return [key, typeof shown === 'string' ? shown : JSON.stringify(shown)] as const;
    })
    // Said already.
    .filter(([key, shown]) => key !== 'err' || !message.includes(shown))
    .map(([key, shown]) => `${key}=${shown}`)
    .join(' ');

/** Turns a JSON log line into a readable one; anything else is passed on behind the service's name. */
export const readable = (name: string, line: string, colour: boolean): string => {
  const who = paint(colour, '35', name.padEnd(14));
  const record = recordOf(line);
  if (!record) return `${''.padEnd(12)} ${who} ${harmless(line)}`;
  const level = String(record['level'] ?? 'info');
  const time = String(record['time'] ?? '').slice(11, 23);
  const message = String(record['msg'] ?? '');
  const text = [message, rest(record, message)].filter(Boolean).join('  ');
  return `${paint(colour, '90', time.padEnd(12))} ${who} ${paint(colour, levels[level] ?? '0', level.padEnd(5))} ${harmless(text)}`;
};

/** Why a process ended, from its last lines: what it logged as fatal, else all of them. */
export const gist = (lines: readonly string[]): string => {
  const fatal = lines.map(recordOf).findLast((record) => record?.['level'] === 'fatal');
  if (!fatal) return lines.map(harmless).join('\n') || 'it said nothing';
  const said = String(fatal['msg'] ?? '');
  const because = sentenceOf(fatal['err']);
  if (because === undefined) return harmless(said);
  return harmless(said.includes(because) ? because : `${said}: ${because}`);
};
