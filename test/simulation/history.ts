import { createHash } from 'node:crypto';
import type { SpaceState } from '@skein/sync-client';
import type { Mutation, MutationResult } from '@skein/sync-core';

/** One event of a log, as far as it is looked at. */
export interface LogEntry {
  readonly offset: number;
  readonly id: string;
  readonly type: string;
  readonly actor: { readonly kind: string; readonly user?: string; readonly platform?: string };
  readonly data: {
    readonly collection?: string;
    readonly id?: string;
    readonly version?: number;
    readonly hash?: string;
    readonly value?: unknown;
    readonly messageId?: string;
    readonly turnId?: string;
    readonly text?: string;
    readonly clientMessageId?: string;
    readonly userId?: string;
    readonly role?: string;
    readonly by?: { readonly device: string; readonly seq?: number };
  };
}

/** One incarnation of the log of a space, from its first event. */
export interface Log {
  readonly space: string;
  readonly epoch: string;
  readonly entries: readonly LogEntry[];
}

/** A document as the database or a replica has it. */
export interface Known {
  readonly collection: string;
  readonly id: string;
  readonly version: number;
  readonly hash: string;
}

/** What a replica had at one position. */
export interface Sight {
  readonly device: string;
  readonly user: string;
  readonly atMs: number;
  readonly space: string;
  readonly epoch: string;
  readonly offset: number;
  readonly digest: string;
}

/** What the server told a device about a mutation. */
export interface Answer {
  readonly device: string;
  readonly space: string;
  readonly mutation: Mutation;
  readonly result: MutationResult;
}

/** What the server told a device about a message. */
export interface Accepted {
  readonly device: string;
  readonly space: string;
  readonly messageId: string;
  readonly offset: number;
}

/** Everything anybody saw in one run. */
export interface History {
  readonly sights: readonly Sight[];
  readonly answers: readonly Answer[];
  readonly messages: readonly Accepted[];
  readonly wrong: readonly string[];
  /** A hash over all of it and over every step: the same for the same seed. */
  readonly trace: { readonly hash: string };
}

/** Documents as one text: equal texts are equal states. The session's own follows by other events as well. */
export const digestOf = (documents: Iterable<Known>): string =>
  [...documents]
    .filter(({ collection }) => collection !== 'session')
    .map(({ collection, id, version, hash }) => `${collection}/${id}@${version}:${hash.slice(0, 12)}`)
    .sort()
    .join(' ');

/** A history that is being written. */
export const recordHistory = (now: () => number) => {
  const sights: Sight[] = [];
  const answers: Answer[] = [];
  const messages: Accepted[] = [];
  const wrong: string[] = [];
  const hash = createHash('sha256');
  const note = (...parts: readonly unknown[]) => hash.update(`${parts.join(' ')}\n`);
  let final: string | undefined;
  return {
    sights,
    answers,
    messages,
    wrong,
    note,
    trace: {
      get hash() {
        final ??= hash.digest('hex').slice(0, 16);
        return final;
      },
    },
    at: (device: string, user: string, space: string, { position, documents }: SpaceState) => {
      if (!position) return;
      const digest = digestOf(Object.values(documents));
      const { epoch, offset } = position;
      sights.push({ device, user, atMs: now(), space, epoch, offset, digest });
      note('at', device, space, position.epoch, position.offset, digest);
    },
    settled: (device: string, space: string, mutation: Mutation, result: MutationResult) => {
      answers.push({ device, space, mutation, result });
      note('settled', device, space, mutation.seq, JSON.stringify(result));
    },
    accepted: (device: string, space: string, messageId: string, offset: number) => {
      messages.push({ device, space, messageId, offset });
      note('accepted', device, space, messageId, offset);
    },
    violation: (text: string) => {
      wrong.push(text);
      note('wrong', text);
    },
  };
};
