/** Where somebody signs in from, as the client says. */
export interface Device {
  /** Empty when the client has none. */
  readonly id: string;
  readonly platform: string;
  readonly name: string;
}

/** Longest id, platform and name that are kept. */
export const deviceLimits = { id: 128, platform: 32, name: 100 } as const;

/** Faults of a device as the client sent it, by field. */
export const deviceFaults = (device: Device): { path: string; message: string }[] =>
  (['id', 'platform', 'name'] as const)
    .filter((field) => device[field].length > deviceLimits[field] || /\p{Cc}/u.test(device[field]))
    .map((field) => ({
      path: `device.${field}`,
      message: `must have at most ${deviceLimits[field]} printable characters`,
    }));

/** The platform of a login whose client did not say. */
export const unknownPlatform = 'unknown';

/** The first three groups of an IPv6 address, as `a:b:c`; undefined for what is none. */
const firstGroups = (address: string): string | undefined => {
  const [head = '', tail, ...more] = address.split('::');
  const groups = (text: string | undefined): string[] => (text ? text.split(':') : []);
  const [front, back] = [groups(head), groups(tail)];
  const gap = tail === undefined ? 0 : 8 - front.length - back.length;
  const all = [...front, ...Array<string>(Math.max(gap, 0)).fill('0'), ...back];
  if (more.length > 0 || all.length !== 8 || !all.every((group) => /^[\da-f]{1,4}$/i.test(group)))
    return undefined;
  return all
    .slice(0, 3)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
};

/**
 * The network of a client's address: what a home or an office keeps while single addresses change. `/24` of IPv4,
 * `/48` of IPv6; empty for what is no address.
 */
export const networkOf = (address: string): string => {
  const [, v4] = /^(?:::ffff:)?(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}$/i.exec(address) ?? [];
  if (v4 !== undefined) return `${v4}.0/24`;
  const v6 = firstGroups(address.replace(/%.*$/, ''));
  return v6 === undefined ? '' : `${v6}::/48`;
};

/** What recognises the place of a login: the device, or platform and network of a client without one. */
export const placeOf = (device: Device, remoteAddress: string): string => {
  if (device.id !== '') return `device:${device.id}`;
  return `platform:${device.platform || unknownPlatform} ${networkOf(remoteAddress)}`.trimEnd();
};

/**
 * A login is unusual when it comes from a place this person never signed in from, unless it is the first one
 * that says where it comes from: then there is nothing to compare with.
 */
export const isUnusual = (seen: { readonly thisPlace: boolean; readonly otherPlaces: boolean }): boolean =>
  !seen.thisPlace && seen.otherPlaces;
