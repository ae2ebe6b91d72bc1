import { encodeHlc, type Mutation, type MutationResult } from '@skein/sync-core';
import { called, rest } from './calls.ts';
import type { Addition, DocumentHistory, Recording } from './history.ts';
import { ErrorFrame, type ResumingSocket } from './resuming-socket.ts';

/** What `COLLECTION_POLICIES` has to say for the shared tally. */
export const tallyPolicies = { tally: { strategy: 'merge', deletes: 'edit_wins' } };

const shared = { collection: 'tally', id: 'shared' };
/** Ends of a saga. */
const sagaEnds = new Set(['done', 'compensated', 'killed']);

/** A device that can write. */
export interface WritingDevice {
  readonly id: string;
  readonly socket: ResumingSocket;
}

/** What the documents of one person are changed with. */
export interface DocumentsOptions {
  readonly address: () => string;
  readonly token: () => string;
  readonly giveUpMs: number;
  readonly devices: readonly WritingDevice[];
}

/** The part of a person that changes documents. */
export interface Documents {
  /** Adds one to the shared tally, from the next device. Never rejects. */
  add(): Promise<void>;
  /** Hands in a health record. Never rejects. */
  record(): Promise<void>;
  /** Whether every saga that was begun has ended. */
  settled(): Promise<boolean>;
  /** What has become of it all, once nothing new happens. */
  end(): Promise<DocumentHistory>;
}

interface Writer extends WritingDevice {
  seq: number;
  version: number;
  /** What the device does next waits for what it did before: sequence numbers have an order. */
  last: Promise<void>;
  /** A call failed for good: whether its number was used is not known. */
  broken: boolean;
}

const mutationOf = ({ id, seq, version }: Writer): Mutation => ({
  ...{ ...shared, seq, baseVersion: version },
  ops: ['all', id].map((field) => ({ op: 'increment', path: [field], value: 1 })),
  hlc: encodeHlc({ ms: Date.now(), counter: 0, device: id }),
});

/** The result behind a duplicate; an outcome that is none of ours is final. */
const resultOf = ({ results }: { readonly results: readonly MutationResult[] }): MutationResult => {
  const [first] = results;
  const result = first?.original ?? first;
  if (result?.outcome === 'applied' || result?.outcome === 'merged') return result;
  throw new ErrorFrame({ type: 'error', code: `outcome ${JSON.stringify(first)}`, retryable: false });
};

/** Changes documents in a person's own space: a tally that every device adds to, and health records. */
export const documentsOf = ({ address, token, giveUpMs, devices }: DocumentsOptions): Documents => {
  const space = '/v1/spaces/personal';
  const writers = devices.map(
    (one): Writer => ({ ...one, seq: 1, version: 0, last: Promise.resolve(), broken: false }),
  );
  const additions: Addition[] = [];
  const recordings: Recording[] = [];
  let turn = 0;

  const get = async <T>(path: string): Promise<T> => {
    const { value, call } = await called(`GET ${path}`, giveUpMs, () =>
      rest({ url: `${address()}${path}`, token: token() }),
    );
    if (!value) throw new Error(`${path} cannot be read: ${call.failures.at(-1)}`);
    return value as T;
  };

  const addFrom = async (writer: Writer, over: 'WebSocket' | 'REST') => {
    if (writer.broken) return;
    const mutations = [mutationOf(writer)];
    const send = async () => {
      if (over === 'REST') {
        const url = `${address()}${space}/mutations`;
        const body = { device: writer.id, mutations };
        return resultOf((await rest({ url, method: 'POST', token: token(), body })) as never);
      }
      await writer.socket.untilLive(giveUpMs);
      return resultOf(
        (await writer.socket.request({ type: 'mutate', space: 'personal', mutations })) as never,
      );
    };
    const { call, value } = await called(`mutation over ${over}`, giveUpMs, send);
    additions.push({ ...call, device: writer.id });
    if (!value) writer.broken = true;
    writer.seq += 1;
    writer.version = Math.max(writer.version, value?.version ?? 0);
  };

  return {
    add: () => {
      const writer = writers[turn % writers.length] as Writer;
      const over = Math.floor(turn / writers.length) % 2 === 0 ? 'WebSocket' : 'REST';
      turn += 1;
      writer.last = writer.last.then(() => addFrom(writer, over));
      return writer.last;
    },
    record: async () => {
      const idempotencyKey = crypto.randomUUID();
      const body = { value: { pulse: 60 + (recordings.length % 40), note: idempotencyKey } };
      const { call, value } = await called('health record', giveUpMs, () =>
        rest({
          ...{ url: `${address()}${space}/health-records`, method: 'POST' },
          ...{ token: token(), body, idempotencyKey },
        }),
      );
      const acknowledged = value as Recording['acknowledged'];
      recordings.push({ ...call, ...(acknowledged ? { acknowledged } : {}) });
    },
    settled: async () => {
      for (const [at, one] of recordings.entries()) {
        if (!one.acknowledged || one.state !== undefined) continue;
        const { state } = await get<{ state: string }>(`/v1/sagas/${one.acknowledged.sagaId}`);
        if (!sagaEnds.has(state)) return false;
        recordings[at] = { ...one, state };
      }
      return true;
    },
    end: async () => {
      const { stateHash, documents } = await get<{
        stateHash: string;
        documents: { collection: string; id: string; value: Record<string, number> }[];
      }>(`${space}/state`);
      const tally = documents.find(
        ({ collection, id }) => collection === shared.collection && id === shared.id,
      );
      const ledger = await get<DocumentHistory['ledger']>(`${space}/health-records/ledger`);
      return { additions, recordings, stateHash, ledger, tally: tally?.value ?? {} };
    },
  };
};
