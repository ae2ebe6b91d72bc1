import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import type { AddressOf } from '../ports.ts';

const plain = (address: string): string => (address.startsWith('::ffff:') ? address.slice(7) : address);

/**
 * The address of the client behind exactly `hops` proxies: each appends the address it saw to X-Forwarded-For, so
 * what stands left of the last `hops` entries was written by the client and is not believed. With no proxy expected,
 * `unexpected` is told of the first request that seems to come from one.
 */
export const addressBehind = (hops: number, unexpected?: () => void): AddressOf => {
  let told = false;
  return (request: IncomingMessage) => {
    const peer = plain(request.socket.remoteAddress ?? '');
    const header = request.headers['x-forwarded-for'];
    if (hops === 0) {
      if (header !== undefined && !told) {
        told = true;
        unexpected?.();
      }
      return peer;
    }
    const forwarded = String(header ?? '')
      .split(',')
      .map((entry) => plain(entry.trim()))
      .filter((entry) => entry !== '');
    const seen = [...forwarded, peer];
    return seen[Math.max(0, seen.length - 1 - hops)] ?? peer;
  };
};

/** What limits count an address as: one household of IPv6 has a whole /64. */
export const addressKey = (address: string): string => {
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('::');
  const left = head.split(':').filter(Boolean);
  const right = (tail ?? '').split(':').filter(Boolean);
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  return [...left, ...Array<string>(zeros).fill('0'), ...right]
    .slice(0, 4)
    .map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''))
    .join(':');
};
