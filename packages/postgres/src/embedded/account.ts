import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { dirname } from 'node:path';

/** The operating system's user a server runs as. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
  /** Whether we are root and give up rights: PostgreSQL refuses to run as root. */
  readonly drops: boolean;
}

const idOf = (flag: '-u' | '-g', user: string): number =>
  Number(execFileSync('id', [flag, user], { encoding: 'utf8' }));

/** Ourselves; as root the owner of the data directory, or `nobody` when it is not there yet. */
export const serverAccount = (dataDir: string): Account => {
  const uid = process.getuid?.() ?? 0;
  if (uid !== 0) return { uid, gid: process.getgid?.() ?? 0, drops: false };
  const owner = statSync(dataDir, { throwIfNoEntry: false });
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid, drops: true };
  return { uid: idOf('-u', 'nobody'), gid: idOf('-g', 'nobody'), drops: true };
};

/** The first directory on the way to `path`, itself included, which the account may not enter; undefined when all are open. */
export const blockedAt = (path: string, { uid, gid, drops }: Account): string | undefined => {
  if (!drops) return undefined;
  const mode = statSync(path, { throwIfNoEntry: false });
  if (mode) {
    const needed = mode.uid === uid ? 0o100 : mode.gid === gid ? 0o010 : 0o001;
    if (mode.isDirectory() && (mode.mode & needed) === 0) return path;
  }
  const parent = dirname(path);
  return parent === path ? undefined : blockedAt(parent, { uid, gid, drops });
};

/** What a child process needs to run as the account. */
export const asAccount = ({ uid, gid, drops }: Account): { uid?: number; gid?: number } =>
  drops ? { uid, gid } : {};

/** A small environment: a server has no use for our secrets. */
export const serverEnvironment = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
