import type { SessionState } from '@skein/sync-client';
import { answerText } from './answerer.ts';
import type { Log, LogEntry } from './history.ts';

const ends = ['message.completed', 'turn.cancelled', 'turn.failed'];
/** Turns that were asked for and have no end yet. */
export const runningTurns = (entries: readonly LogEntry[]): ReadonlySet<string> => {
  const running = new Set<string>();
  for (const { type, data } of entries)
    if (data.turnId === undefined) continue;
    else if (ends.includes(type)) running.delete(data.turnId);
    else running.add(data.turnId);
  return running;
};

/** Every turn has one beginning at most and one end, in this order; in the logs there are now an end there must be. */
const endedOnce = ({ space, entries }: Log, current: boolean): string[] => {
  const turns = Map.groupBy(
    entries.filter(({ data }) => data.turnId !== undefined),
    ({ data }) => data.turnId,
  );
  return [...turns].flatMap(([turnId, all]) => {
    const order = all.map(({ type }) => (ends.includes(type) ? 'end' : type));
    const counts = (kind: string) => order.filter((one) => one === kind).length;
    const sound =
      counts('end') <= 1 && counts('turn.started') <= 1 && (counts('end') === 0 || order.at(-1) === 'end');
    if (sound && (!current || counts('end') === 1)) return [];
    return [
      `turn: ${turnId} of ${space} went ${all.map(({ type, offset }) => `${type}@${offset}`).join(', ')}`,
    ];
  });
};

/** What a page shows of answers being made: always a beginning of the whole answer. */
export const shownSoFar = (device: string, state: SessionState): string[] =>
  Object.entries(state.turns).flatMap(([turnId, { space, conversationId, messageId }]) => {
    const { messages = [] } = state.spaces[space]?.conversations[conversationId] ?? {};
    const text = messages.find(({ id }) => id === messageId)?.text ?? '';
    return answerText(turnId).startsWith(text) ? [] : [`turn: ${device} shows "${text}" of ${turnId}`];
  });

/** At rest every message that is shown has the text of the log. */
const shown = (device: string, state: SessionState, entries: ReadonlyMap<string, LogEntry>): string[] =>
  Object.values(state.spaces).flatMap(({ conversations }) =>
    Object.values(conversations).flatMap(({ messages }) =>
      messages.flatMap(({ id, text, state: how }) => {
        const entry = entries.get(id);
        if (how === 'streaming') return [`turn: ${device} still waits for the end of ${id}`];
        return entry && entry.data.text !== text
          ? [`turn: ${device} shows "${text}" for ${id}, and the log says "${entry.data.text}"`]
          : [];
      }),
    ),
  );

/** Turns and their answers, from the log back to every page. */
export const turns = (remains: {
  readonly logs: readonly Log[];
  readonly current: readonly Log[];
  readonly devices: readonly { readonly id: string; readonly state: SessionState }[];
}): string[] => {
  const { logs, current, devices } = remains;
  const newest = new Map(
    current.flatMap(({ entries }) =>
      entries.flatMap((entry): [string, LogEntry][] =>
        entry.data.messageId !== undefined && (entry.type === 'message.created' || ends.includes(entry.type))
          ? [[entry.data.messageId, entry]]
          : [],
      ),
    ),
  );
  return [
    ...logs.flatMap((log) => endedOnce(log, current.includes(log))),
    ...devices.flatMap(({ id, state }) => shown(id, state, newest)),
  ];
};
