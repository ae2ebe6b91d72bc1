import { newPerson } from '../e2e/support/mesh.ts';
import { called, rest } from './calls.ts';
import { turnEnds } from './check.ts';
import { type Documents, documentsOf } from './documents.ts';
import type { Call, Changed, DeviceHistory, Logged, PersonHistory, Seen, Write } from './history.ts';
import type { Frame, Receiver } from './receiver.ts';
import { type ResumingSocket, resumingSocket } from './resuming-socket.ts';
import { type ResumingStreamOptions, resumingStream } from './resuming-stream.ts';

/** How a person is put under load. */
export interface PersonOptions {
  /** Where the next connection or request goes to; `http://host:port`. */
  readonly address: () => string;
  /** Devices with a WebSocket, which read and write. */
  readonly devices: number;
  /** More devices, which only read. */
  readonly readers?: readonly ResumingStreamOptions['carrier'][];
  /** Whether documents are changed, and looked at in the end. */
  readonly changesDocuments?: boolean;
  /** How long a call is tried. */
  readonly giveUpMs: number;
}

/** Somebody with devices, who writes, reads, and notes everything. */
export interface LoadPerson {
  readonly receivers: readonly Receiver[];
  readonly documents: Documents;
  /** Sends a message; `asks` wants it answered. Never rejects: how it went is in the history. */
  write(over: 'WebSocket' | 'REST', asks: boolean): Promise<void>;
  /** Makes the next call of a round over all services. Never rejects. */
  call(): Promise<void>;
  /** Waits until every device has seen everything, or the time is over; closes them and tells what they saw. */
  end(timeoutMs: number): Promise<PersonHistory>;
}

const textBytes = 256;
const pageSize = 1_000;
/** Sessions with less left than this are renewed. */
const renewAheadMs = 5 * 60_000;
const lookEveryMs = 500;

interface Followed<R extends Receiver = Receiver> {
  readonly id: string;
  readonly receiver: R;
  readonly seen: Seen[];
  snapshots: number;
}

interface PublicEvent {
  readonly id: string;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** What an event says about a document. */
const changedBy = ({ type, data }: PublicEvent): { document?: Changed } => {
  if (type !== 'document.changed' && type !== 'document.deleted') return {};
  const { collection, id, version, hash } = data as unknown as Changed;
  const deleted = type === 'document.deleted' || hash === undefined;
  return { document: { collection, id, version, ...(deleted ? {} : { hash }) } };
};

/** Follows with a receiver, and keeps what it sees. */
const follow = <R extends Receiver>(id: string, open: (frame: (frame: Frame) => void) => R): Followed<R> => {
  const device: Followed<R> = {
    id,
    receiver: open((frame) => {
      if (frame['space'] !== device.receiver.space) return;
      if (frame.type === 'event') {
        const event = frame['event'] as PublicEvent;
        device.seen.push({ offset: frame['offset'] as number, id: event.id, ...changedBy(event) });
      }
      if (frame.type === 'snapshot' && frame['part'] === 1) device.snapshots += 1;
    }),
    seen: [],
    snapshots: 0,
  };
  return device;
};

const toLogged = (one: Record<string, unknown>): Logged => {
  const { clientMessageId, turnId } = one['data'] as { clientMessageId?: string; turnId?: string };
  return {
    offset: one['offset'] as number,
    id: one['id'] as string,
    type: one['type'] as string,
    ...(clientMessageId === undefined ? {} : { clientMessageId }),
    ...(turnId === undefined ? {} : { turnId }),
    ...changedBy(one as unknown as PublicEvent),
  };
};

const toHistory = ({ id, receiver, seen, snapshots }: Followed): DeviceHistory => ({
  id,
  from: receiver.from,
  seen,
  outages: receiver.outages,
  snapshots,
  ...(receiver.ended === undefined ? {} : { ended: receiver.ended }),
});

/** Registers somebody and connects all devices. */
export const loadPerson = async (options: PersonOptions): Promise<LoadPerson> => {
  const { address, giveUpMs } = options;
  const person = await newPerson(address());
  let { accessToken: token, refreshToken } = person;
  const names = Array.from({ length: options.devices }, (_, at) => `device-${at + 1}`);
  const common = { address, token: () => token };
  const devices = names.map((device) =>
    follow(device, (frame) => resumingSocket({ ...common, device, frame })),
  );
  const readers = (options.readers ?? []).map((carrier, at) => {
    const device = `${carrier}-${at + 1}`;
    return follow(device, (frame) => resumingStream({ ...common, carrier, device, frame }));
  });
  const all: readonly Followed[] = [...devices, ...readers];
  await Promise.all(all.map(({ receiver }) => receiver.untilLive(giveUpMs)));
  const documents = documentsOf({
    ...{ ...common, giveUpMs },
    devices: devices.map(({ id, receiver: socket }) => ({ id, socket })),
  });
  const writes: Write[] = [];
  const calls: Call[] = [];
  let written = 0;
  let asked = 0;

  const writeOverRest = (body: object, clientMessageId: string) =>
    rest({
      ...{ url: `${address()}/v1/spaces/personal/messages`, method: 'POST' },
      ...{ token, body, idempotencyKey: clientMessageId },
    });

  const get = (path: string) => () => rest({ url: `${address()}${path}`, token });
  const read = async (path: string) => {
    calls.push((await called(`GET ${path}`, giveUpMs, get(path))).call);
  };

  let refreshing: Promise<void> | undefined;
  /** One client, one refresher: a second use of a refresh token would end the login. */
  const refresh = async () => {
    const idempotencyKey = crypto.randomUUID();
    const body = { refreshToken };
    const { call, value } = await called('POST /v1/auth/refresh', giveUpMs, () =>
      rest({ url: `${address()}/v1/auth/refresh`, method: 'POST', body, idempotencyKey }),
    );
    calls.push(call);
    if (!value) return;
    token = String(value['accessToken']);
    refreshToken = String(value['refreshToken']);
    for (const { receiver: socket } of devices) {
      if (!socket.live || socket.authExpiresAt > Date.now() + renewAheadMs) continue;
      // Should the connection end before the answer, the next one begins with the new token.
      socket.request({ type: 'auth', token }).catch(() => {});
    }
  };

  const log: Logged[] = [];
  /** Reads what the log has got since the last time. */
  const readLog = async () => {
    for (;;) {
      const path = `/v1/spaces/personal/events?after=${log.length}&limit=${pageSize}`;
      const { call, value } = await called('GET events', giveUpMs, get(path));
      if (!value) throw new Error(`the log cannot be read: ${call.failures.at(-1)}`);
      log.push(...(value['events'] as Record<string, unknown>[]).map(toLogged));
      if (log.length >= (value['head'] as number)) return;
    }
  };

  /** Whether every answer has ended and every device has seen everything. */
  const settled = () => {
    const ended = new Set(log.map(({ type, turnId }) => (turnEnds.has(type) ? turnId : undefined)));
    return (
      log.every(({ turnId }) => turnId === undefined || ended.has(turnId)) &&
      writes.every(
        ({ acknowledged }) => acknowledged?.turnId === undefined || ended.has(acknowledged.turnId),
      ) &&
      all.every(({ receiver }) => (receiver.position?.offset ?? 0) >= log.length)
    );
  };

  const round = [
    () => read('/v1/me'),
    () => read('/v1/personas'),
    () => read('/v1/spaces/personal/conversations'),
    () => {
      refreshing ??= refresh().finally(() => {
        refreshing = undefined;
      });
      return refreshing;
    },
  ];

  return {
    receivers: all.map(({ receiver }) => receiver),
    documents,
    write: async (over, asks) => {
      const clientMessageId = crypto.randomUUID();
      const body = { clientMessageId, text: clientMessageId.padEnd(textBytes, '.'), reply: asks };
      const device = devices[written++ % devices.length] as Followed<ResumingSocket>;
      const send = async () => {
        if (over === 'REST') return writeOverRest(body, clientMessageId);
        // What a device wants to say while it is not connected waits for the connection.
        await device.receiver.untilLive(giveUpMs);
        return device.receiver.request({ type: 'message', space: 'personal', ...body });
      };
      const { call, value } = await called(`message over ${over}`, giveUpMs, send);
      const turnId = value?.['turnId'] as string | undefined;
      const acknowledged = value && {
        offset: value['offset'] as number,
        ...(turnId === undefined ? {} : { turnId }),
      };
      writes.push({ ...call, clientMessageId, ...(acknowledged ? { acknowledged } : {}) });
    },
    call: () => (round[asked++ % round.length] as () => Promise<void>)(),
    end: async (timeoutMs) => {
      const deadline = Date.now() + timeoutMs;
      const quiet = async () => {
        const sagasEnded = await documents.settled();
        await readLog();
        return sagasEnded && settled();
      };
      while (!(await quiet()) && Date.now() < deadline)
        await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
      for (const { receiver } of all) receiver.close();
      const history = { id: person.id, log, writes, devices: all.map(toHistory), calls };
      return options.changesDocuments ? { ...history, documents: await documents.end() } : history;
    },
  };
};
