import type { Exclusive } from './rest/tokens.ts';
import type { Clock, KeyValue, OpenSocket } from './sync/ports.ts';

/** The browser's clock. */
export const browserClock: Clock = {
  now: () => Date.now(),
  after: (ms, run) => {
    const id = setTimeout(run, ms);
    return () => clearTimeout(id);
  },
};

/** A unique id. `crypto.randomUUID` needs a secure context, which a page opened by address in a home network lacks. */
export function newId(): string {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Opens `/v1/connect` of the page's own origin. */
export const openSocket: OpenSocket = (events) => {
  const url = new URL('/v1/connect', location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  const socket = new WebSocket(url);
  socket.onopen = () => events.opened();
  socket.onmessage = (event) => {
    if (typeof event.data === 'string') events.message(event.data);
  };
  socket.onclose = (event) => events.closed(event.code, event.reason);
  return {
    send: (text) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
    close: () => socket.close(),
  };
};

/** One refresh at a time over all tabs; without locks (no secure context) the idempotency key has to do. */
export const exclusive: Exclusive = async (run) => {
  if (navigator.locks === undefined) return run();
  return navigator.locks.request('skein.refresh', run) as ReturnType<typeof run>;
};

/** Tabs of one browser that are devices of their own; a further one shares, and the newest wins. */
const slotsMax = 8;

/** This tab as a device. */
export interface ClaimedDevice {
  readonly id: string;
  /** Takes another id, for good. */
  rename(): void;
}

/**
 * The device that this tab is. Tabs open at once need different ids, or each would end the other's connection; tabs
 * opened one after the other should not become ever more devices. So each tab takes the first free slot, held by
 * a lock that the browser frees with the tab, and a slot keeps its id.
 */
export async function claimDevice(storage: KeyValue, tab: KeyValue): Promise<ClaimedDevice> {
  if (navigator.locks === undefined) return deviceUnder(tab, 'skein.device');
  for (let slot = 0; slot < slotsMax; slot++) {
    if (await holdForever(`skein.device.${slot}`)) return deviceUnder(storage, `skein.device.${slot}`);
  }
  return deviceUnder(storage, 'skein.device.0');
}

function holdForever(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    void navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      return lock === null ? undefined : new Promise<never>(() => {});
    });
  });
}

function deviceUnder(storage: KeyValue, key: string): ClaimedDevice {
  let id = storage.getItem(key) ?? '';
  const rename = (): void => {
    id = newId();
    storage.setItem(key, id);
  };
  if (id === '') rename();
  return {
    get id() {
      return id;
    },
    rename,
  };
}

/** What people call this browser, such as "Firefox, Linux". */
export function deviceName(userAgent: string): string {
  const browser = /Edg\//.test(userAgent)
    ? 'Edge'
    : /Firefox\//.test(userAgent)
      ? 'Firefox'
      : /Chrome\//.test(userAgent)
        ? 'Chrome'
        : /Safari\//.test(userAgent)
          ? 'Safari'
          : 'Browser';
  const systems: readonly (readonly [RegExp, string])[] = [
    [/iPhone/, 'iPhone'],
    [/iPad/, 'iPad'],
    [/Android/, 'Android'],
    [/Windows/, 'Windows'],
    [/Mac OS X/, 'macOS'],
    [/Linux|X11/, 'Linux'],
  ];
  const system = systems.find(([pattern]) => pattern.test(userAgent))?.[1];
  return system === undefined ? browser : `${browser}, ${system}`;
}
