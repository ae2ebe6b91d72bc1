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

/** What recognises the place of a login: the device, or the platform of a client without one. */
export const placeOf = (device: Device): string =>
  device.id === '' ? `platform:${device.platform || unknownPlatform}` : `device:${device.id}`;

/**
 * A login is unusual when it comes from a place this person never signed in from, unless it is the first one
 * that says where it comes from: then there is nothing to compare with.
 */
export const isUnusual = (seen: { readonly thisPlace: boolean; readonly otherPlaces: boolean }): boolean =>
  !seen.thisPlace && seen.otherPlaces;
