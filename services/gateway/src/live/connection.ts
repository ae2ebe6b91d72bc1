import { AppError, type syncV1, toAppError } from '@skein/contracts';
import type { Actor, CallContext, RpcClient } from '@skein/rpc';
import type { Principal, TokenVerifier } from '../ports.ts';
import { actorOf, callFor, type DeviceName } from './actor.ts';
import type { SpaceFeed } from './feed.ts';
import type { Feeds } from './feeds.ts';
import { Follower, type FollowerHost, type Plan, type StreamRequest } from './follower.ts';
import { controlFrame } from './frame.ts';
import type { Presence } from './presence.ts';
import type { ReadEvents } from './shared-reads.ts';
import type { Sink } from './sink.ts';
import type { WaitingRoom } from './waiting-room.ts';

/** What all connections share. */
export interface ConnectionDeps {
  readonly feeds: Feeds;
  readonly presence: Presence;
  readonly sync: RpcClient<syncV1.SyncServiceService>;
  /** Where those wait who open their session. */
  readonly sessions: WaitingRoom;
  readonly readEvents: ReadEvents;
  readonly random: () => number;
  readonly newId: () => string;
  readonly callTimeoutMs: number;
  /** Told how each stream begins. */
  readonly began: (how: StreamBeginning) => void;
}

/**
 * How a stream begins: from the head, without anything missed; with what was missed, from memory or from the log; with
 * a whole snapshot.
 */
export type StreamBeginning = 'head' | 'memory' | 'log' | 'snapshot';

const beginningOf = (request: StreamRequest | undefined, plan: Plan): StreamBeginning => {
  if (!request) return 'head';
  if (!plan.recovered) return 'snapshot';
  return plan.page ? 'log' : 'memory';
};

/** One entry of `welcome.streams`. */
export type WelcomeStream =
  | {
      readonly space: string;
      readonly epoch: string;
      readonly offset: number;
      readonly recovered: boolean;
      readonly lastSeq: number;
    }
  | { readonly space: string; readonly error: string };

/** Spaces one connection may follow; a person with more names those that matter. */
const maxSpaces = 200;
/** Spaces that one connection opens at the same time. */
const opening = 8;

/** Works on all items, a few at a time, results in order. */
const inTurns = async <T, R>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> => {
  const results: R[] = [];
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const at = next;
      next += 1;
      results[at] = await work(items[at] as T);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  return results;
};

/**
 * One device's connection, whatever carries it: which spaces it follows and from where. The carrier sends
 * `welcome` between `open` and `begin`, and calls `end` once. Membership is checked at every subscribe.
 */
export class Connection implements FollowerHost {
  /** As in `welcome`. */
  readonly id: string;
  principal: Principal;
  device: DeviceName;
  readonly sink: Sink;
  actor: Actor;
  /** Id of the person's own space; known after `open`. */
  personal = '';
  readonly signal: AbortSignal;
  readonly random: () => number;
  readonly sync: RpcClient<syncV1.SyncServiceService>;
  /** Told when following a space failed for a reason that is not the person's membership. */
  onFault: (fault: AppError) => void = () => {};
  /** Of these a device has one at a time, over all gateways: a WebSocket that is not a classic one. */
  isSocket = false;
  /** Follows what it began with or asks for, and no space that the person enters meanwhile. */
  fixed = false;
  checks = true;
  /** Told, instead of the client, that an epoch changed and a snapshot follows. */
  onRestarted: ((follower: Follower) => void) | undefined;
  private readonly deps: ConnectionDeps;
  private readonly abort = new AbortController();
  private readonly followers = new Map<string, Follower>();
  private starting: Set<string> | undefined;
  private plans: [Follower, Plan][] = [];
  private attached = false;
  private started = false;
  private begun: PromiseWithResolvers<void> | undefined;
  private reading: Promise<readonly syncV1.Space[]> | undefined;
  /** The person's own space when it is not followed: it is where new memberships are told. */
  private door: SpaceFeed | undefined;
  /** Whether the client named no streams: then new spaces begin at their head. */
  private everything = false;

  constructor(deps: ConnectionDeps, principal: Principal, device: DeviceName, sink: Sink) {
    this.deps = deps;
    this.id = deps.newId();
    this.principal = principal;
    this.device = device;
    this.sink = sink;
    this.actor = actorOf(principal, device);
    this.signal = this.abort.signal;
    this.random = deps.random;
    this.sync = deps.sync;
  }

  get userId(): string {
    return this.principal.userId;
  }

  /** Followed spaces with their positions, in the order of subscribing. */
  get streams(): readonly Follower[] {
    return [...this.followers.values()];
  }

  call(timeoutMs = this.deps.callTimeoutMs): CallContext {
    return callFor(this.actor, timeoutMs, { signal: this.signal });
  }

  /** A call that goes on when the connection ends: what a client has sent is done, whether or not it waits. */
  detachedCall(timeoutMs = this.deps.callTimeoutMs): CallContext {
    return callFor(this.actor, timeoutMs);
  }

  /** Events from the log, together with whoever wants the same at the moment. */
  readEvents(request: syncV1.ReadEventsRequest): Promise<syncV1.ReadEventsResponse> {
    return this.deps.readEvents(this.userId, request, this.detachedCall());
  }

  /**
   * The same person with a newer token. One of another login, or an API token, is noted with the device first, so
   * that it ends too when the device is removed. AppError `session_revoked` when it ended meanwhile.
   */
  async renew(principal: Principal, verifier: Pick<TokenVerifier, 'isRevoked'>): Promise<void> {
    const actor = actorOf(principal, this.device);
    if (actor.sessionId !== this.actor.sessionId || actor.tokenId !== this.actor.tokenId) {
      const call = callFor(actor, this.deps.callTimeoutMs, { signal: this.signal });
      await this.openSession(call);
      if (verifier.isRevoked(principal)) throw new AppError('session_revoked');
    }
    this.principal = principal;
    this.actor = actorOf(principal, this.device);
  }

  /** The device says who it is after the connection was opened. */
  rename(device: DeviceName): void {
    const spaces = [...this.followers.keys()];
    const moved = device.id !== this.device.id && this.attached;
    const before = this.device.id;
    this.device = device;
    this.actor = actorOf(this.principal, device);
    if (!moved) return;
    this.deps.presence.attach(this.userId, device, spaces, this.socket);
    this.deps.presence.detach(this.userId, before, spaces, 0, this.socket);
  }

  /** A space's id, with the alias `personal` resolved. */
  resolve(space: string | undefined): string {
    return space === undefined || space === 'personal' ? this.personal : space;
  }

  /** The follower of a space, when it is followed. */
  stream(space: string): Follower | undefined {
    return this.followers.get(space);
  }

  /**
   * Finds out what each stream begins with: those asked for, or every space of the person from its head. One
   * call for all of them. Nothing is sent before `begin`.
   */
  async open(requests: readonly StreamRequest[] | undefined): Promise<WelcomeStream[]> {
    if (requests && requests.length > maxSpaces) throw new AppError('invalid_request', 'too many streams');
    const spaces = await this.session();
    this.everything = requests === undefined;
    const wanted: readonly StreamRequest[] =
      requests?.map((one) => ({ ...one, space: this.resolve(one.space) })) ??
      spaces.slice(0, maxSpaces).map(({ id }) => ({ space: id }));
    const byId = new Map(spaces.map((one) => [one.id, one]));
    const once = new Map(wanted.map((one) => [one.space, one]));
    const streams = await inTurns([...once.values()], opening, async (one): Promise<WelcomeStream> => {
      const access = byId.get(one.space);
      if (!access) return { space: one.space, error: 'forbidden' };
      return this.prepare(one.space, this.everything ? undefined : one, access);
    });
    if (this.signal.aborted) throw new AppError('cancelled');
    const away = streams.find((one) => 'error' in one && one.error !== 'forbidden');
    // Nothing works at the moment: better said at once than by a connection that follows nothing.
    if (away && this.followers.size === 0) throw new AppError('unavailable');
    if (!this.fixed && !this.followers.has(this.personal))
      this.door = this.deps.feeds.acquire(this.personal, this.actor);
    this.attach();
    return streams;
  }

  /** Starts every stream that `open` has prepared. */
  begin(): void {
    this.started = true;
    this.startPlans(() => true);
    this.begun?.resolve();
  }

  /**
   * Follows one more space and says `subscribed`; a space that is followed already starts over from the
   * position asked for. Rejects with `forbidden` for spaces of others.
   */
  async subscribe(request: StreamRequest): Promise<void> {
    const spaces = await this.session();
    const access = spaces.find((one) => one.id === this.resolve(request.space));
    if (!access) throw new AppError('forbidden', 'this space is not yours or does not exist');
    if (this.followers.size >= maxSpaces) throw new AppError('invalid_request', 'too many streams');
    if (this.drop(access.id)) this.deps.presence.change(this.userId, this.device.id, { remove: access.id });
    const stream = await this.prepare(access.id, request, access);
    if ('error' in stream) throw new AppError('unavailable');
    if (this.signal.aborted) return;
    this.deps.presence.change(this.userId, this.device.id, { add: access.id });
    this.subscribed(stream);
  }

  /**
   * Follows a space of which the person may just have become a member, after `begin` at the earliest. Harmless when it
   * is followed or not the person's.
   */
  async welcomeTo(space: string): Promise<void> {
    this.starting ??= new Set();
    const { starting } = this;
    if (this.fixed || this.followers.has(space) || starting.has(space) || starting.size >= maxSpaces) return;
    starting.add(space);
    try {
      if (!this.started) {
        this.begun ??= Promise.withResolvers();
        await this.begun.promise;
      }
      if (this.signal.aborted) return;
      const access = (await this.session()).find((one) => one.id === space);
      if (!access || this.followers.has(space) || this.followers.size >= maxSpaces) return;
      const stream = await this.prepare(space, this.everything ? undefined : { space }, access);
      if ('error' in stream || this.signal.aborted) return;
      this.deps.presence.change(this.userId, this.device.id, { add: space });
      this.subscribed(stream);
    } finally {
      starting.delete(space);
    }
  }

  /** Follows a space no more and says so. False when it was not followed. */
  unsubscribe(space: string, reason: string): boolean {
    if (!this.drop(space)) return false;
    this.deps.presence.change(this.userId, this.device.id, { remove: space });
    this.sink.control(controlFrame({ type: 'unsubscribed', space, reason }));
    return true;
  }

  ended(follower: Follower, error: AppError): void {
    if (this.followers.get(follower.space) !== follower) return;
    const lost = error.code === 'forbidden' || error.code === 'not_found';
    // One space that is too large for a snapshot is no reason to lose the others.
    if (lost || error.code === 'too_large') {
      this.unsubscribe(follower.space, lost ? 'not_member' : error.code);
      return;
    }
    // Before the follower is let go of: no position that is told on the way out may lack its space.
    this.onFault(error);
    this.drop(follower.space);
  }

  async restarted(follower: Follower): Promise<void> {
    if (this.onRestarted) {
      this.deps.began('snapshot');
      this.onRestarted(follower);
      return;
    }
    // The other log may have less of the device, or more: the client numbers what it has queued from there.
    let access = await this.accessTo(follower.space);
    // It was read before the log changed.
    if (access && access.epoch !== follower.epoch) access = await this.accessTo(follower.space);
    if (!access) throw new AppError('forbidden');
    if (this.followers.get(follower.space) !== follower) return;
    this.deps.began('snapshot');
    follower.lastSeq = access.lastSeq;
    this.sink.control(
      controlFrame({
        type: 'subscribed',
        space: follower.space,
        epoch: follower.epoch,
        offset: follower.feed.head,
        recovered: false,
        lastSeq: follower.lastSeq,
      }),
    );
  }

  /** Lets go of everything. The device counts as connected for `lingerMs` more. */
  end(lingerMs = 0): void {
    if (this.signal.aborted) return;
    this.abort.abort(new AppError('cancelled'));
    this.begun?.resolve();
    const spaces = [...this.followers.keys()];
    for (const space of spaces) this.drop(space);
    if (this.door) this.deps.feeds.release(this.door);
    if (this.attached) this.deps.presence.detach(this.userId, this.device.id, spaces, lingerMs, this.socket);
  }

  /** Says that a stream is followed and starts it, and no other: that one's `subscribed` is still to come. */
  private subscribed(stream: Exclude<WelcomeStream, { error: string }>): void {
    this.sink.control(controlFrame({ type: 'subscribed', ...stream }));
    this.startPlans(({ space }) => space === stream.space);
  }

  private startPlans(which: (follower: Follower) => boolean): void {
    const plans = this.plans.filter(([follower]) => which(follower));
    this.plans = this.plans.filter(([follower]) => !which(follower));
    for (const [follower, plan] of plans) follower.start(plan);
  }

  private get socket(): string {
    return this.isSocket ? this.id : '';
  }

  private attach(): void {
    const { presence } = this.deps;
    const followed = this.streams.map((one) => one.space);
    if (!this.attached) presence.attach(this.userId, this.device, followed, this.socket);
    else for (const add of followed) presence.change(this.userId, this.device.id, { add });
    this.attached = true;
  }

  private async session(): Promise<readonly syncV1.Space[]> {
    const { spaces } = await this.openSession(this.call());
    this.personal = spaces.find((one) => one.kind === 'personal')?.id ?? this.personal;
    return spaces;
  }

  /** What the session says of a space, read by one call for all spaces that ask meanwhile. */
  private async accessTo(space: string): Promise<syncV1.Space | undefined> {
    this.reading ??= this.session().finally(() => {
      this.reading = undefined;
    });
    return (await this.reading).find(({ id }) => id === space);
  }

  private openSession(call: CallContext): Promise<syncV1.OpenSessionResponse> {
    return this.deps.sessions(call, () => this.sync.openSession({ device: { ...this.device } }, call));
  }

  private async prepare(
    space: string,
    request: StreamRequest | undefined,
    access: syncV1.Space,
  ): Promise<WelcomeStream> {
    const feed = this.deps.feeds.acquire(space, this.actor, access);
    const follower = new Follower(this, feed);
    this.followers.set(space, follower);
    try {
      const plan = await follower.plan(request, access);
      if (this.followers.get(space) !== follower) throw new AppError('cancelled');
      this.plans.push([follower, plan]);
      this.deps.began(beginningOf(request, plan));
      const { epoch, lastSeq } = follower;
      return { space, epoch, offset: plan.head, recovered: plan.recovered, lastSeq };
    } catch (error) {
      if (this.followers.get(space) === follower) this.drop(space);
      const { code } = toAppError(error);
      // The session has just named it: it went since, by a restore, and asking again tells for good.
      return { space, error: code === 'not_found' ? 'unavailable' : code };
    }
  }

  private drop(space: string): boolean {
    const follower = this.followers.get(space);
    if (!follower) return false;
    this.followers.delete(space);
    this.plans = this.plans.filter(([one]) => one !== follower);
    follower.stop();
    this.deps.feeds.release(follower.feed);
    return true;
  }
}
