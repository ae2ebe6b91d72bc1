import { AppError } from './errors.ts';

/** The versions of one type's data. */
export interface Versioned {
  /** What publishers write now, from 1. */
  readonly version: number;
  /** From each older version to the next one. Pure; stored events are never rewritten. */
  readonly upcast: Readonly<Record<number, (data: unknown) => unknown>>;
}

/**
 * Data written as version `from`, as the newest version has it. `unavailable` for a version that is newer than this
 * program knows; a TypeError for one that never was.
 */
export const upcastData = (type: string, entry: Versioned, data: unknown, from: number): unknown => {
  if (from > entry.version)
    throw new AppError(
      'unavailable',
      `${type} version ${from} was published by a newer release; this one knows ${entry.version}`,
    );
  let current = data;
  for (let version = from; version < entry.version; version += 1) {
    const step = entry.upcast[version];
    if (!step) throw new TypeError(`${type} has no version ${version}`);
    current = step(current);
  }
  return current;
};
