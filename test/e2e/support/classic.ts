import WebSocket from 'ws';

/** A frame of the classic shapes. */
export type ClassicFrame = Record<string, unknown> & { readonly type: string };

/** A client of the classic shapes: knows nothing of spaces, offsets or results. */
export interface ClassicClient {
  readonly frames: readonly ClassicFrame[];
  send(frame: ClassicFrame): void;
  /** The first frame, seen or to come, that satisfies the predicate. */
  until(what: string, predicate: (frame: ClassicFrame) => boolean): Promise<ClassicFrame>;
  /** The close code, once the connection has ended. */
  readonly closed: Promise<number>;
  close(): void;
}

const giveUpMs = 15_000;

/** Opens `/ws/{user_id}` with a token in the query, as old clients do. */
export const openClassic = async (
  url: string,
  userId: string,
  token: string,
  deviceId: string,
): Promise<ClassicClient> => {
  const socket = new WebSocket(
    `${url.replace('http', 'ws')}/ws/${userId}?token=${token}&device_id=${deviceId}`,
  );
  const frames: ClassicFrame[] = [];
  const watchers = new Set<(frame: ClassicFrame) => void>();
  socket.on('message', (data) => {
    const frame = JSON.parse(String(data)) as ClassicFrame;
    frames.push(frame);
    for (const watcher of watchers) watcher(frame);
  });
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => resolve());
    socket.once('error', reject);
  });
  return {
    frames,
    send: (frame) => socket.send(JSON.stringify(frame)),
    until: (what, predicate) => {
      const seen = frames.find(predicate);
      if (seen) return Promise.resolve(seen);
      return new Promise((resolve, reject) => {
        const timer = setTimeout(
          () =>
            reject(
              new Error(
                `${deviceId} waited in vain for ${what}; last frames: ${JSON.stringify(frames.slice(-5))}`,
              ),
            ),
          giveUpMs,
        );
        const watcher = (frame: ClassicFrame) => {
          if (!predicate(frame)) return;
          clearTimeout(timer);
          watchers.delete(watcher);
          resolve(frame);
        };
        watchers.add(watcher);
      });
    },
    closed,
    close: () => socket.close(),
  };
};
