import { newPerson } from '../e2e/support/mesh.ts';
import { called, rest } from './calls.ts';
import { turnEnds } from './check.ts';
import type { Call, DeviceHistory, Logged, PersonHistory, Seen, Write } from './history.ts';
import { type Frame, type ResumingSocket, resumingSocket } from './resuming-socket.ts';

/** How a person is put under load. */
export interface PersonOptions {
  /** Where the next connection or request goes to; `http://host:port`. */
  readonly address: () => string;
  readonly devices: number;
  /** How long a call is tried. */
  readonly giveUpMs: number;
}

/** Somebody with devices, who writes, reads, and notes everything. */
export interface LoadPerson {
  readonly sockets: readonly ResumingSocket[];
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

interface Followed {
  readonly id: string;
  readonly socket: ResumingSocket;
  readonly seen: Seen[];
  snapshots: number;
}

const openDevice = (id: string, options: PersonOptions, token: () => string): Followed => {
  const keep = (frame: Frame) => {
    if (frame['space'] !== device.socket.space) return;
    if (frame.type === 'event') {
      const { id: eventId } = frame['event'] as { readonly id: string };
      device.seen.push({ offset: frame['offset'] as number, id: eventId });
    }
    if (frame.type === 'snapshot' && frame['part'] === 1) device.snapshots += 1;
  };
  const device: Followed = {
    id,
    socket: resumingSocket({ address: options.address, device: id, token, frame: keep }),
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
  };
};

const toHistory = ({ id, socket, seen, snapshots }: Followed): DeviceHistory => ({
  id,
  from: socket.from,
  seen,
  outages: socket.outages,
  snapshots,
  ...(socket.ended === undefined ? {} : { ended: socket.ended }),
});

/** Registers somebody and connects all devices. */
export const loadPerson = async (options: PersonOptions): Promise<LoadPerson> => {
  const { address, giveUpMs } = options;
  const person = await newPerson(address());
  let { accessToken: token, refreshToken } = person;
  const names = Array.from({ length: options.devices }, (_, at) => `device-${at + 1}`);
  const devices = names.map((name) => openDevice(name, options, () => token));
  await Promise.all(devices.map(({ socket }) => socket.untilLive(giveUpMs)));
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
    for (const { socket } of devices) {
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
      writes.every(
        ({ acknowledged }) => acknowledged?.turnId === undefined || ended.has(acknowledged.turnId),
      ) && devices.every(({ socket }) => (socket.position?.offset ?? 0) >= log.length)
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
    sockets: devices.map(({ socket }) => socket),
    write: async (over, asks) => {
      const clientMessageId = crypto.randomUUID();
      const body = { clientMessageId, text: clientMessageId.padEnd(textBytes, '.'), reply: asks };
      const device = devices[written++ % devices.length] as Followed;
      const send = async () => {
        if (over === 'REST') return writeOverRest(body, clientMessageId);
        // What a device wants to say while it is not connected waits for the connection.
        await device.socket.untilLive(giveUpMs);
        return device.socket.request({ type: 'message', space: 'personal', ...body });
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
      await readLog();
      while (!settled() && Date.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
        await readLog();
      }
      for (const { socket } of devices) socket.close();
      return { id: person.id, log, writes, devices: devices.map(toHistory), calls };
    },
  };
};
