import { AppError, type syncV1 } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import type { Script } from '../fakes.ts';

/** A space of the fake session-sync. */
export interface FakeSpace {
  readonly id: string;
  readonly kind: 'personal' | 'team';
  epoch: string;
  readonly events: syncV1.LoggedEvent[];
  readonly members: Set<string>;
  /** The lowest offset that is still served. */
  floor: number;
  turns: syncV1.LiveResponse_RunningTurn[];
}

type LiveFrame = NonNullable<syncV1.LiveResponse['frame']>;
type LiveCommand = NonNullable<syncV1.LiveRequest['frame']>;

/** One gateway's `Live` stream as the fake serves it. */
class FakeStream {
  readonly followed = new Set<string>();
  /** The gateway has said that it reads them. */
  bundles = false;
  private queue: LiveFrame[] = [];
  private wake = () => {};
  private failure: AppError | undefined;
  private ended = false;

  push(frame: LiveFrame): void {
    this.queue.push(frame);
    this.wake();
  }

  fail(error: AppError): void {
    this.failure = error;
    this.wake();
  }

  end(): void {
    this.ended = true;
    this.wake();
  }

  /** The next frame; events that wait go together, up to the size at which session-sync stops. */
  private take(): LiveFrame | undefined {
    const spaces: syncV1.LiveResponse_Events[] = [];
    let bytes = 0;
    for (let next = this.queue[0]; this.bundles && next?.$case === 'events'; next = this.queue[0]) {
      if (bytes > 100_000) break;
      for (const { json } of next.value.events) bytes += json.length;
      spaces.push(next.value);
      this.queue.shift();
    }
    return spaces.length > 0 ? { $case: 'bundle', value: { spaces } } : this.queue.shift();
  }

  async *frames(): AsyncGenerator<syncV1.LiveResponse> {
    for (;;) {
      if (this.failure) throw this.failure;
      const frame = this.take();
      if (frame) yield { frame };
      else if (this.ended) return;
      else
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
    }
  }
}

/**
 * session-sync on the wire: logs of spaces in memory, the reads over them, and `Live`. Appends reach every
 * stream that follows; a test may break streams, cut snapshots short and hold commands back.
 */
export class SpaceLog {
  readonly spaces = new Map<string, FakeSpace>();
  readonly streams = new Set<FakeStream>();
  /** Everything the gateway said on `Live`, over all streams. */
  readonly commands: LiveCommand[] = [];
  readonly acks: syncV1.AckDeviceRequest[] = [];
  readonly reads: syncV1.ReadEventsRequest[] = [];
  /** Whether state hashes are told: tests of other things do without `check` frames. */
  tellsHashes = false;
  /** Spaces of every question for state hashes. */
  readonly hashReads: (readonly string[])[] = [];
  /** What a person has in classic documents. */
  classic: syncV1.SyncData[] = [];
  /** Parts of every snapshot. */
  parts = 2;
  /** Snapshots that break off after their first part before one goes through. */
  brokenSnapshots = 0;
  /** Ids of spaces that the session names and nobody can follow. */
  readonly unreadable = new Set<string>();
  /** `Live` refuses new streams while this is set. */
  away = false;
  /** How far a log has every device. */
  lastSeq = 7;
  private ids = 0;

  /** Makes a space; a person's own is named after the person. */
  space(id: string, members: readonly string[], kind: 'personal' | 'team' = 'team'): FakeSpace {
    const space: FakeSpace = {
      id,
      kind,
      epoch: 'e1',
      events: [],
      members: new Set(members),
      floor: 1,
      turns: [],
    };
    this.spaces.set(id, space);
    return space;
  }

  personal(user: string): FakeSpace {
    return this.spaces.get(`space-${user}`) ?? this.space(`space-${user}`, [user], 'personal');
  }

  get(id: string): FakeSpace {
    const space = this.spaces.get(id);
    if (!space) throw new AppError('not_found');
    return space;
  }

  /** Commits an event and sends it to everybody who follows. */
  append(
    id: string,
    type: string,
    data: Readonly<Record<string, unknown>> = {},
    actor: { user?: string; device?: string; platform?: string } = {},
  ): syncV1.LoggedEvent {
    const space = this.get(id);
    this.ids += 1;
    const offset = space.events.length + 1;
    const event = {
      offset,
      id: `event-${this.ids}`,
      type,
      json: JSON.stringify({
        id: `event-${this.ids}`,
        type,
        time: 1_700_000_000_000 + offset,
        actor: { kind: 'user', platform: 'web', ...actor },
        data,
      }),
    };
    space.events.push(event);
    this.tell(id, { $case: 'events', value: { space: id, epoch: space.epoch, events: [event] } });
    return event;
  }

  /** Sends any frame to who follows a space. */
  tell(id: string, frame: LiveFrame): void {
    for (const stream of this.streams) if (stream.followed.has(id)) stream.push(frame);
  }

  tokens(id: string, turnId: string, from: number, text: string): void {
    const value = { space: id, turnId, messageId: `m-${turnId}`, conversationId: 'c', from, text };
    this.tell(id, { $case: 'tokens', value });
  }

  /** Every open stream ends with a fault. */
  breakStreams(): void {
    for (const stream of this.streams) stream.fail(new AppError('unavailable', 'the line is cut'));
  }

  /** Every open stream ends by itself, as at its maximum age. */
  endStreams(): void {
    for (const stream of this.streams) stream.end();
  }

  /** Another log in the place of the old one. */
  reanchor(id: string, epoch: string): void {
    const space = this.get(id);
    space.epoch = epoch;
    for (const stream of this.streams) {
      if (stream.followed.delete(id)) {
        stream.push({ $case: 'lost', value: { space: id, epoch, head: space.events.length } });
      }
    }
  }

  /** The handlers of the wire. */
  script(): Script<syncV1.SyncServiceService> {
    return {
      openSession: async (_request, ctx) => {
        const user = this.actor(ctx);
        this.personal(user);
        const spaces = [...this.spaces.values()]
          .filter((space) => space.members.has(user))
          .map(({ id, kind, epoch, events }) => ({
            ...{ id, kind, epoch, title: id, role: 'owner', head: events.length, lastSeq: this.lastSeq },
          }));
        return { spaces };
      },
      readEvents: async (request, ctx) => {
        this.reads.push(request);
        const space = this.member(request.space, ctx);
        const head = space.events.length;
        if ((request.epoch !== '' && request.epoch !== space.epoch) || request.after > head) {
          throw new AppError('position_lost');
        }
        const from = Math.max(request.after, space.floor - 1);
        const events = space.events.slice(from, from + Math.min(request.limit || 200, 3));
        return { epoch: space.epoch, head, floor: space.floor, events };
      },
      readSnapshot: (request, ctx) => this.snapshot(request, ctx),
      readStateHashes: async ({ spaces }) => {
        if (!this.tellsHashes) throw new AppError('unavailable');
        this.hashReads.push(spaces);
        const known = spaces.flatMap((id) => this.spaces.get(id) ?? []);
        return { items: known.map((space) => this.stateHash(space)) };
      },
      appendMessage: async (request, ctx) => {
        const user = this.actor(ctx);
        const space = this.member(request.space, ctx);
        const turnId = request.reply ? `turn-${request.clientMessageId}` : '';
        const messageId = `message-${request.clientMessageId}`;
        const { offset } = this.append(
          space.id,
          'message.created',
          {
            ...{ messageId, conversationId: 'c', role: 'user', text: request.text },
            ...{ clientMessageId: request.clientMessageId, turnId },
          },
          {
            user,
            device: request.origin?.device?.id ?? '',
            platform: request.origin?.device?.platform ?? '',
          },
        );
        return {
          ...{ messageId, conversationId: 'c', turnId, answerMessageId: `m-${turnId}`, offset },
          ...{ duplicate: false, persona: 'cruz' },
        };
      },
      ackDevice: async (request) => {
        this.acks.push(request);
        return {};
      },
      readClassic: async (_request, ctx) => {
        const space = this.personal(this.actor(ctx));
        return { items: this.classic, offset: space.events.length, epoch: space.epoch, next: '' };
      },
      live: (requests) => this.live(requests),
    };
  }

  /** A hash that says how many events about documents there were. */
  stateHash({ id, epoch, events }: FakeSpace): syncV1.StateHash {
    const documents = events.filter(({ type }) => type.startsWith('document.')).length;
    const stateHash = `1:${String(documents).padStart(16, '0')}`;
    return { space: id, epoch, offset: events.length, stateHash };
  }

  private actor(ctx: CallContext): string {
    if (!ctx.actor) throw new AppError('unauthenticated');
    return ctx.actor.userId;
  }

  private member(id: string, ctx: CallContext): FakeSpace {
    const space = this.get(id);
    if (!space.members.has(this.actor(ctx))) throw new AppError('forbidden');
    return space;
  }

  private async *snapshot(
    request: syncV1.ReadSnapshotRequest,
    ctx: CallContext,
  ): AsyncGenerator<syncV1.ReadSnapshotResponse> {
    const space = this.member(request.space, ctx);
    const offset = space.events.length;
    for (let part = 1; part <= this.parts; part += 1) {
      if (part === 2 && this.brokenSnapshots > 0) {
        this.brokenSnapshots -= 1;
        throw new AppError('unavailable', 'the snapshot was cut');
      }
      const hash = part === this.parts ? { stateHash: '1:0000000000000000' } : {};
      const json = JSON.stringify({ documents: [{ part }], conversations: [], ...hash });
      yield { epoch: space.epoch, offset, part, parts: this.parts, json };
    }
  }

  private async *live(requests: AsyncIterable<syncV1.LiveRequest>): AsyncGenerator<syncV1.LiveResponse> {
    if (this.away) throw new AppError('unavailable', 'session-sync is away');
    const stream = new FakeStream();
    this.streams.add(stream);
    const listen = async () => {
      for await (const { frame } of requests) {
        if (frame) this.command(stream, frame);
      }
      stream.end();
    };
    listen().catch(() => stream.end());
    try {
      yield* stream.frames();
    } finally {
      this.streams.delete(stream);
    }
  }

  private command(stream: FakeStream, frame: LiveCommand): void {
    this.commands.push(frame);
    if (frame.$case === 'reads') stream.bundles = frame.value.bundles;
    if (frame.$case === 'unfollow') stream.followed.delete(frame.value.space);
    if (frame.$case !== 'follow') return;
    const { space: id, epoch, after } = frame.value;
    const space = this.unreadable.has(id) ? undefined : this.spaces.get(id);
    const head = space?.events.length ?? 0;
    if (!space || (after >= 0 && ((epoch !== '' && epoch !== space.epoch) || after > head))) {
      stream.push({ $case: 'lost', value: { space: id, epoch: space?.epoch ?? '', head } });
      return;
    }
    const from = after < 0 ? head : after;
    stream.followed.add(id);
    const following = { space: id, epoch: space.epoch, after: from, head, turns: space.turns };
    stream.push({ $case: 'following', value: following });
    const missed = space.events.slice(from);
    if (missed.length === 0) return;
    stream.push({ $case: 'events', value: { space: id, epoch: space.epoch, events: missed } });
  }
}
