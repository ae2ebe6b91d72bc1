import { type Json, jsonEqual } from '@skein/sync-core';
import type { Ground } from './disk.ts';
import { type Door, type Line, openLine } from './lines.ts';

/** A document as classic clients know it. */
export interface SyncData {
  readonly id: string;
  readonly type: string;
  readonly data: { readonly [key: string]: unknown } | null;
  readonly timestamp: number;
  readonly version: number;
}

/** A client that speaks the classic frames: whole documents with a version, and no positions. */
export interface ClassicClient {
  readonly id: string;
  readonly user: string;
  readonly documents: ReadonlyMap<string, SyncData>;
  /** When it last sent a document. */
  readonly sentAtMs: number;
  /** Changes a document here, and sends it when there is a line. */
  edit(type: string, id: string, key: string, value: string): void;
  online(is: boolean): void;
  cut(): void;
}

/** What a classic client is made of. */
export interface ClassicOptions {
  readonly ground: Ground;
  readonly name: string;
  readonly user: string;
  readonly door: () => Door | undefined;
  readonly wrong: (text: string) => void;
}

const retryMs = { min: 200, max: 3_000 };
const pingMs = 2_000;
/** After a line was opened, and now and then: what was lost on the way is found by comparing versions. */
const compareMs = 5_000;
/** What the server says of a document it lacks. */
const unknown = 'unknown';

/** Errors after which the same may be sent again. */
const forTheMoment: ReadonlySet<string> = new Set(['unavailable', 'overloaded', 'deadline_exceeded']);

/**
 * Marks are counted, and a client that writes whole documents would write old ones over new ones. Records belong to
 * their sagas: after a restore it would bring back what was asked for and is not there yet.
 */
const followed = (type: string) => !['ledger', 'session', 'health_data'].includes(type);

interface ClassicFrame {
  readonly type: string;
  readonly data?: SyncData | readonly SyncData[] | { readonly serverData: SyncData };
  readonly error?: { readonly code: string };
}

/** Makes a classic client and connects it. */
export const startClassic = (options: ClassicOptions): ClassicClient => {
  const { ground, name, user, door, wrong } = options;
  const { schedule, random } = ground;
  const documents = new Map<string, SyncData>();
  /** Documents whose newest content is ours: nothing says that it has arrived, so a new line begins with them. */
  const ours = new Set<string>();
  let line: Line | undefined;
  let online = true;
  let sentAtMs = 0;
  /** The line on which what is ours is about to be sent again. */
  let resending: Line | undefined;

  const adopt = (data: SyncData) => {
    ours.delete(data.id);
    documents.set(data.id, data);
  };
  const send = (data: SyncData) => {
    sentAtMs = schedule.now();
    ours.add(data.id);
    line?.send(JSON.stringify({ type: 'data_update', data }));
  };

  const resend = () => {
    for (const id of ours) send(documents.get(id) as SyncData);
  };
  /** Once, however many errors come meanwhile: one answer to each would be a flood that feeds itself. */
  const resendSoon = () => {
    const mine = line;
    if (!mine || mine === resending) return;
    resending = mine;
    schedule.after(random.between(retryMs.min, retryMs.max), () => {
      if (mine === resending) resending = undefined;
      if (mine === line) resend();
    });
  };

  /** The newer version wins here; of two equal ones with other content the server is told, and decides. */
  const meet = (theirs: SyncData): void => {
    const mine = documents.get(theirs.id);
    if (!followed(theirs.type)) return;
    if (theirs.type === unknown) {
      if (mine?.data) send(mine);
    } else if (!mine?.data || theirs.version > mine.version) adopt(theirs);
    else if (theirs.version < mine.version || JSON.stringify(theirs.data) !== JSON.stringify(mine.data))
      send(mine);
  };

  const take = ({ type, data, error }: ClassicFrame): void => {
    if (type === 'data_update') meet(data as SyncData);
    else if (type === 'sync_response') for (const one of data as readonly SyncData[]) meet(one);
    else if (type === 'conflict') {
      const { serverData } = data as { readonly serverData: SyncData };
      adopt(serverData);
    }
    // It does not say of which: everything that is ours is sent again.
    else if (error && forTheMoment.has(error.code)) resendSoon();
    else if (error?.code === 'internal') wrong(`classic: ${name} was answered by ${error.code}`);
  };

  const every = (ms: number, mine: Line, work: () => void): void => {
    schedule.after(ms, () => {
      if (mine !== line) return;
      work();
      every(ms, mine, work);
    });
  };

  const compare = (mine: Line) => {
    const versions = [...documents.values()].map(({ id, version }) => ({ id, version }));
    mine.send(JSON.stringify({ type: 'sync_request', versions }));
  };

  const connect = (): void => {
    if (!online) return;
    const mine: Line = openLine(
      ground,
      door(),
      {
        opened: () => {
          if (mine !== line) return;
          mine.send(JSON.stringify({ type: 'auth', token: `${user}..` }));
          compare(mine);
          resend();
          every(pingMs, mine, () => mine.send('{"type":"ping"}'));
          every(compareMs, mine, () => compare(mine));
        },
        message: (text) => {
          if (mine === line) take(JSON.parse(text) as ClassicFrame);
        },
        closed: () => {
          if (mine !== line) return;
          line = undefined;
          schedule.after(random.between(retryMs.min, retryMs.max), () => line ?? connect());
        },
      },
      `/ws/${user}?device_id=${name}&platform=simulated`,
    );
    line = mine;
  };
  connect();

  return {
    id: name,
    user,
    documents,
    get sentAtMs() {
      return sentAtMs;
    },
    edit: (type, id, key, value) => {
      const before = documents.get(id);
      const data = { ...(before?.type === type ? before.data : {}), [key]: value };
      const edited = { id, type, data, timestamp: schedule.now(), version: (before?.version ?? 0) + 1 };
      documents.set(id, edited);
      send(edited);
    },
    online: (is) => {
      if (is === online) return;
      online = is;
      line?.cut();
      line = undefined;
      connect();
    },
    cut: () => line?.cut(),
  };
};

/** What a classic client has otherwise than the database; undefined when nothing is. */
export const classicDiffers = (
  { id, documents }: ClassicClient,
  stored: readonly { readonly collection: string; readonly id: string; readonly value: unknown }[],
): string | undefined => {
  const theirs = new Map(
    stored.flatMap((one) => (followed(one.collection) ? [[one.id, one.value as Json]] : [])),
  );
  for (const [document, value] of theirs)
    if (!jsonEqual(value, (documents.get(document)?.data ?? null) as Json))
      return `${id} has ${JSON.stringify(documents.get(document))} where the database has ${JSON.stringify(value)}`;
  const more = [...documents.values()].find((one) => one.data && !theirs.has(one.id));
  return more && `${id} has ${more.id}, which the database has not`;
};
