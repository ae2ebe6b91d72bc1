import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { ImageSpec } from './builder.ts';

/** Name of an image → what it was made from, as a checksum. */
type Contents = Record<string, string>;

/**
 * A checksum over everything an image is made from: its files, its Dockerfile and its arguments. Not the revision: a
 * commit that changes none of these makes no other image.
 */
export const contentsKey = (files: string, { dockerfile, args, platform }: ImageSpec): string => {
  const { REVISION: _, ...rest } = args;
  const hash = createHash('sha256')
    .update(readFileSync(dockerfile))
    .update(JSON.stringify([rest, platform]));
  const entries = readdirSync(files, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  for (const path of entries) {
    const found = lstatSync(path);
    const content = found.isSymbolicLink() ? readlinkSync(path) : found.isFile() ? readFileSync(path) : '';
    hash.update(`${relative(files, path)}\n${found.mode.toString(8)} ${content.length}\n`).update(content);
  }
  return hash.digest('hex');
};

/** A file that says what the images were made from that somebody has. */
export interface ContentsRecord {
  readonly has: (image: string, key: string) => boolean;
  /** The image is finished, and loaded where there is a loader. */
  readonly add: (image: string, key: string) => void;
}

/** Opens the record in a JSON file; one that is not there is empty. */
export const contentsRecord = (file: string): ContentsRecord => {
  const known: Contents = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  return {
    has: (image, key) => known[image] === key,
    add: (image, key) => {
      known[image] = key;
      writeFileSync(file, JSON.stringify(known));
    },
  };
};
