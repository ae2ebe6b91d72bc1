import type { Clock, OpenSocket } from '@skein/sync-client';
import { askingHold, type Hold, lockHold } from './device.ts';
import type { Exclusive } from './rest/tokens.ts';

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

/** Holds names for this tab among all of them, by what the browser has for it. */
export function browserHold(): Hold {
  if (navigator.locks !== undefined) return lockHold;
  return askingHold(new BroadcastChannel('skein.device'), newId(), browserClock);
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
