import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Ends `child` by SIGKILL when this process ends in any way, SIGKILL included: no exit handler runs then, and a
 * component in a process group of its own would stay for ever.
 *
 * A shell waits on a pipe that only this process holds open; it closes with us. It removes `directory` too, which we
 * cannot any more. The shell itself goes with `child`.
 */
export const endWithUs = (child: ChildProcess, directory: string): void => {
  const script = 'read -r _; kill -9 "$1"; rm -rf "$2"';
  const watch = spawn('/bin/sh', ['-c', script, 'watch', `${child.pid}`, directory], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // Without a shell there is no watch; the component still ends when it is stopped.
  watch.once('error', () => {});
  watch.unref();
  void once(child, 'exit').then(() => watch.kill('SIGKILL'));
};
