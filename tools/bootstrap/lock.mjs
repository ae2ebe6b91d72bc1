import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readMark } from './fingerprint.mjs';

const retryMs = 250;

const alive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Somebody else's process may not be signalled, but it is there.
    return error.code === 'EPERM';
  }
};

/** Takes the lock file of a process that is gone out of the way, and only that one. */
const clearStale = (file, seen) => {
  const aside = `${file}.${process.pid}.stale`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if (error.code === 'ENOENT') return;
    throw error;
  }
  // Another waiter may have cleared and taken it between our look and our rename: then it goes back.
  if (readFileSync(aside, 'utf8') !== seen) linkSync(aside, file);
  rmSync(aside);
};

const tryTake = (file) => {
  try {
    writeFileSync(file, `${process.pid}`, { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  const holder = readMark(file);
  if (holder && !alive(Number(holder))) clearStale(file, holder);
  return false;
};

/**
 * Runs `work` while no other process holds the lock `file`. The file has the holder's process id; one whose holder
 * is gone does not count. Waits at most `timeoutMs`, after `onWait` was called once.
 *
 * Node 20 has no lock of the operating system to offer, so this one is made of a file.
 */
export const withLock = async (file, { onWait, timeoutMs }, work) => {
  mkdirSync(dirname(file), { recursive: true });
  const deadline = performance.now() + timeoutMs;
  let told = false;
  while (!tryTake(file)) {
    if (performance.now() > deadline) throw new Error(`Another run still holds ${file}; gave up waiting.`);
    if (!told) onWait();
    told = true;
    await delay(retryMs);
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
};
