import type { Mutation } from '@skein/sync-core';
import { actingFor, type Running } from './harness.ts';

/** A time of a device as text. */
export const hlc = (ms: number, device = 'phone') => `${ms.toString(16).padStart(12, '0')}-0000-${device}`;
/** A mutation that sets one field of a task. */
export const set = (seq: number, value: unknown, more: Partial<Mutation> & { field?: string } = {}) => {
  const { field = 'title', ...rest } = more;
  return {
    seq,
    collection: 'task',
    id: 'a',
    baseVersion: 0,
    ops: [{ op: 'set', path: [field], value }],
    hlc: hlc(1_000 + seq),
    ...rest,
  };
};
/** Where a device writes from. */
export const origin = (id: string) => ({ device: { id, platform: 'phone', name: '' } });

/** Writing documents and reading the log of a running session-sync. */
export const writing = (sync: () => Running) => {
  const mutate = async (
    user: string,
    device: string,
    mutations: readonly unknown[],
    space = 'personal',
    epoch?: string,
  ) => {
    const answer = await sync().gateway.mutate(
      { space, epoch, origin: origin(device), mutationsJson: JSON.stringify(mutations) },
      actingFor(user),
    );
    return { results: JSON.parse(answer.resultsJson), lastSeq: answer.lastSeq };
  };
  const logOf = async (user: string, space = 'personal') => {
    const { events, head } = await sync().gateway.readEvents(
      { space, epoch: '', after: 0, limit: 0 },
      actingFor(user),
    );
    return {
      head,
      types: events.map(({ type }) => type),
      events: events.map(({ json }) => JSON.parse(json)),
    };
  };
  return { mutate, logOf };
};

/** A cursor somebody made up. */
export const forged = (key: unknown): string => Buffer.from(JSON.stringify(key)).toString('base64url');
