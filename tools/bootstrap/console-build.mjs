import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesUnder, fingerprint, readMark } from './fingerprint.mjs';
import { root } from './run.mjs';

const folder = join(root, 'packages', 'console');
const mark = join(folder, 'dist', '.built-from');

/** What goes into the page: the console without its tests, and the packages of ours that it bundles. */
const sources = () => [
  ...filesUnder(folder).filter((file) => !file.startsWith(join(folder, 'test'))),
  ...filesUnder(join(root, 'packages', 'sync-client', 'src')),
  ...filesUnder(join(root, 'packages', 'sync-core', 'src')),
];

/** True when there is a console whose sources differ from those of the last build. */
export const consoleIsStale = () =>
  existsSync(join(folder, 'index.html')) && readMark(mark) !== fingerprint(root, sources());

/** Remembers what the build that has just ended was made from. */
export const markConsoleBuilt = () => writeFileSync(mark, fingerprint(root, sources()));
