import { createHash } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMap, parseDocument } from 'yaml';
import {
  allScope,
  type Change,
  type ConfigStore,
  type Snapshot,
  type StoredDocument,
  type Wait,
} from './config-store.ts';
import { isMapping, readDocument, writeDocument } from './document.ts';

/** File systems that tell of no changes (some network ones) are looked at this often. */
const lookEveryMs = 5_000;
/** What a writer that died has left is taken away after this long. */
const abandonedMs = 10_000;

const revisionOf = (text: string): string => createHash('sha256').update(text).digest('base64url');

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

/** `file:/etc/skein/config.yaml` as a path. TypeError for anything else. */
const pathOf = (url: string): string => {
  if (!/^file:\/[^/]|^file:\/\/\/[^/]/.test(url)) throw new TypeError('must be file:/absolute/path');
  return fileURLToPath(url);
};

const textOf = async (path: string): Promise<string> => {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return '';
    throw error;
  }
};

const modeAndAge = async (
  path: string,
): Promise<{ readonly mode: number; readonly ageMs: number } | undefined> => {
  try {
    const { mode, mtimeMs } = await stat(path);
    return { mode: mode & 0o777, ageMs: Date.now() - mtimeMs };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
};

const documentOf = (settings: unknown): StoredDocument =>
  isMapping(settings)
    ? { revision: revisionOf(JSON.stringify(settings)), settings }
    : { revision: revisionOf(''), settings: {}, fault: 'must be a mapping of settings to their values' };

const snapshotOf = (text: string): Snapshot => {
  const { settings, fault } = readDocument(text);
  const revision = revisionOf(text);
  // A file that cannot be read says nothing about anybody.
  if (fault !== undefined) return { revision, documents: { [allScope]: { revision, settings, fault } } };
  const documents = Object.entries(settings).map(([scope, own]) => [scope, documentOf(own ?? {})]);
  return { revision, documents: Object.fromEntries(documents) as Snapshot['documents'] };
};

/** Resolves when the folder of a file tells of a change, after a while, or with the signal. */
const stirred = (path: string, ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    let watcher: FSWatcher | undefined;
    const done = () => {
      clearTimeout(timer);
      watcher?.close();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
    try {
      // The folder, not the file: editors put another file in its place, and Kubernetes swaps the link `..data`.
      watcher = watch(dirname(path), (_event, name) => {
        if (name === null || name === basename(path) || name.startsWith('..')) done();
      });
      watcher.on('error', done);
    } catch {
      // No such folder yet, or no watches left: then it is looked at after a while.
    }
  });

/** The whole file with other documents in it; comments around them stay. */
const withChanges = (path: string, text: string, changes: readonly Change[]): string => {
  const { settings: before, fault } = readDocument(text);
  if (fault !== undefined) throw new Error(`The file ${path} ${fault}: mend it first`);
  const after = { ...before, ...Object.fromEntries(changes.map(({ scope, settings }) => [scope, settings])) };
  if (path.endsWith('.json')) return `${JSON.stringify(after, null, 2)}\n`;
  const file = parseDocument(text);
  if (!isMap(file.contents)) {
    // Nothing but comments, or a null that is written out: that gives way, the comments stay.
    const [from, to] = file.contents?.range ?? [text.length, text.length];
    const above = text.slice(0, from);
    const gap = above === '' || above.endsWith('\n') ? '' : '\n';
    return above + gap + writeDocument(after) + text.slice(to).replace(/^\r?\n/, '');
  }
  for (const { scope, settings } of changes) file.set(scope, file.createNode(settings));
  return file.toString({ lineWidth: 0 });
};

/**
 * One YAML or JSON file with a mapping a scope, on this machine or mounted into a pod. Read anew as soon as its folder
 * tells of a change. TypeError for a URL that is not `file:/absolute/path`.
 */
export const fileStore = (url: string): ConfigStore => {
  const path = pathOf(url);
  const read = async (wait?: Wait): Promise<Snapshot> => {
    const endsAt = performance.now() + (wait?.waitMs ?? 0);
    for (;;) {
      wait?.signal.throwIfAborted();
      // Listening before looking: what changes in between is not missed.
      const listening = new AbortController();
      const left = endsAt - performance.now();
      const stirring =
        wait && left > 0
          ? stirred(path, Math.min(left, lookEveryMs), AbortSignal.any([listening.signal, wait.signal]))
          : undefined;
      try {
        const snapshot = snapshotOf(await textOf(path));
        if (!stirring || snapshot.revision !== wait?.after) return snapshot;
        await stirring;
      } finally {
        listening.abort();
      }
    }
  };
  return {
    place: `the file ${path}`,
    read,
    write: async (changes) => {
      const next = `${path}.next`;
      const left = await modeAndAge(next);
      if (left && left.ageMs > abandonedMs) await rm(next, { force: true });
      const mode = (await modeAndAge(path))?.mode ?? 0o600;
      // It is the lock as well: whoever else wants to write finds it there.
      const file = await open(next, 'wx', mode).catch((error: unknown) => {
        if (codeOf(error) === 'EEXIST') return undefined;
        throw error;
      });
      if (!file) return false;
      let isPlaced = false;
      try {
        const text = await textOf(path);
        const { documents } = snapshotOf(text);
        if (!changes.every(({ scope, seen }) => (documents[scope]?.revision ?? '') === seen)) return false;
        await file.writeFile(withChanges(path, text, changes));
        await file.sync();
        await rename(next, path);
        isPlaced = true;
        return true;
      } finally {
        await file.close();
        if (!isPlaced) await rm(next, { force: true });
      }
    },
  };
};
