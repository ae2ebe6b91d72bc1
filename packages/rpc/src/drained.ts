import type { EventEmitter } from 'node:events';

/** Resolves when a writable takes more, or is closed: whoever writes next finds out which. */
export const drained = (stream: EventEmitter): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      stream.off('drain', done);
      stream.off('close', done);
      stream.off('error', done);
      resolve();
    };
    stream.on('drain', done);
    stream.on('close', done);
    stream.on('error', done);
  });
