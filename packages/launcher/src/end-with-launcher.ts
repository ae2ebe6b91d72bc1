import { spawn } from 'node:child_process';

/**
 * Sees to it that the database of process `pid` ends when this process does, in any way, SIGKILL included: no exit
 * handler runs then. Returns the way to call it off, for when the database has ended.
 *
 * A shell waits on a pipe that only this process holds open. First it asks for a smart shutdown, which lets the
 * services finish what they have in hand; after ten seconds for a fast one. Both write a checkpoint.
 */
export const endWithLauncher = (pid: number): (() => void) => {
  const script = `
    read -r _
    kill -TERM "$1" || exit
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      sleep 1
      kill -0 "$1" || exit
    done
    kill -INT "$1"`;
  const watch = spawn('/bin/sh', ['-c', script, 'watch', String(pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // Without a shell there is no watch: the database then goes on, and the next start uses it.
  watch.once('error', () => {});
  watch.unref();
  return () => {
    watch.kill('SIGKILL');
  };
};
