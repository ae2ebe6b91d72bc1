import type { syncV1 } from '@skein/contracts';
import { type RpcClient, rootContext } from '@skein/rpc';
import type { Logger } from '@skein/telemetry';
import type { SpaceFeed } from './feed.ts';
import type { Swept } from './sweeper.ts';

/** Spaces whose hashes one call reads: after a cut of thousands of lines that is a few dozen reads. */
const perCall = 100;
const timeoutMs = 10_000;

/** What checks are made of. */
export interface ChecksOptions {
  readonly sync: Pick<RpcClient<syncV1.SyncServiceService>, 'readStateHashes'>;
  /** How often the hash of one space is read at most. */
  readonly everyMs: number;
  readonly log: Logger;
}

/**
 * Reads the state hashes that feeds ask for: many spaces in one call, one call at a time, each space once in a while
 * at most. A reading that fails is left out: a hash is there to find a fault, not needed for anything.
 */
export class Checks implements Swept {
  private readonly options: ChecksOptions;
  /** Feeds that want a hash, and from when on they may have it; no more than there are feeds. */
  private readonly wanted = new Map<SpaceFeed, number>();
  private readonly readAt = new WeakMap<SpaceFeed, number>();
  private reading = false;

  constructor(options: ChecksOptions) {
    this.options = options;
  }

  /** Asks for the hash of a space, once however often it is asked. */
  want(feed: SpaceFeed): void {
    if (this.wanted.has(feed)) return;
    const before = this.readAt.get(feed);
    this.wanted.set(feed, before === undefined ? 0 : before + this.options.everyMs);
  }

  sweep(nowMs: number): void {
    if (this.reading) return;
    const due: SpaceFeed[] = [];
    for (const [feed, at] of this.wanted) {
      if (at > nowMs) continue;
      this.wanted.delete(feed);
      if (feed.isChecked) due.push(feed);
    }
    if (due.length === 0) return;
    for (const feed of due) this.readAt.set(feed, nowMs);
    this.reading = true;
    this.read(due)
      .catch((error: unknown) => this.options.log.debug({ err: error }, 'state hashes could not be read'))
      .finally(() => {
        this.reading = false;
      });
  }

  private async read(due: readonly SpaceFeed[]): Promise<void> {
    for (let at = 0; at < due.length; at += perCall) {
      const feeds = new Map(due.slice(at, at + perCall).map((feed) => [feed.space, feed]));
      const request = { spaces: [...feeds.keys()] };
      const { items } = await this.options.sync.readStateHashes(request, rootContext({ timeoutMs }));
      for (const hash of items) feeds.get(hash.space)?.onStateHash(hash);
    }
  }
}
