/** One line of a service's log, for a person: time, service, level, message and what else it says. */

const levels: Readonly<Record<string, string>> = {
  trace: '90',
  debug: '90',
  info: '36',
  warn: '33',
  error: '31',
  fatal: '31;1',
};

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

const rest = (record: Record<string, unknown>): string =>
  Object.entries(record)
    .filter(([key]) => !hidden.has(key))
    .map(([key, value]) => {
      if (key === 'err' && typeof value === 'object' && value !== null && 'message' in value)
        return `err=${String(value.message)}`;
      return `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`;
    })
    .join(' ');

/** Turns a JSON log line into a readable one; anything else is passed on behind the service's name. */
export const readable = (name: string, line: string, colour: boolean): string => {
  const who = paint(colour, '35', name.padEnd(14));
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch {
    // Not ours (a crash report, a library's print): shown as it is.
  }
  if (typeof record !== 'object' || record === null) return `${''.padEnd(12)} ${who} ${line}`;
  const fields = record as Record<string, unknown>;
  const level = String(fields['level'] ?? 'info');
  const time = String(fields['time'] ?? '').slice(11, 23);
  const text = [String(fields['msg'] ?? ''), rest(fields)].filter(Boolean).join('  ');
  return `${paint(colour, '90', time.padEnd(12))} ${who} ${paint(colour, levels[level] ?? '0', level.padEnd(5))} ${text}`;
};
