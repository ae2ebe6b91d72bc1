import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from './run.ts';

/** `test/bench/rpc.ts` is the benchmark "rpc"; `rpc-peer.ts` and the like, with a hyphen, are parts of it. */
const folder = join(root, 'test', 'bench');

const names = (await readdir(folder))
  .filter((file) => /^[a-z0-9]+\.ts$/.test(file))
  .map((file) => file.slice(0, -'.ts'.length))
  .sort();

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`There is no benchmark ${unknown.join(', ')}; there are: ${names.join(', ')}.`);
  process.exitCode = 2;
} else {
  // One after the other: two at once would measure each other.
  for (const name of wanted.length > 0 ? wanted : names) {
    console.log(`\n${name}`);
    const child = spawn(process.execPath, [join(folder, `${name}.ts`)], { cwd: root, stdio: 'inherit' });
    const [code] = await once(child, 'exit');
    if (code !== 0) process.exitCode = 1;
  }
}
