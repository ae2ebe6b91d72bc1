import { AppError, toAppError } from '@skein/contracts';
import { SpanKind, withSpan } from '@skein/telemetry';
import type { DeviceName } from '../live/actor.ts';
import { type Closing, closeCodes, closing, closingFor } from '../live/close.ts';
import { Connection } from '../live/connection.ts';
import type { LiveDeps } from '../live/deps.ts';
import { type Batch, controlFrame, type Frame } from '../live/frame.ts';
import { InFlight } from '../live/in-flight.ts';
import type { Guest } from '../live/people.ts';
import type { Sink, StreamPosition } from '../live/sink.ts';
import type { Principal } from '../ports.ts';
import { FrameBudget } from './budget.ts';
import { ClassicTokens, classicFrame, dataUpdate, sessionType } from './classic-frames.ts';
import { type ClassicPort, isClassic, performClassic } from './classic-requests.ts';
import { classicClientFrames } from './classic-schemas.ts';
import { decode, type Inbound, parseFrame } from './inbound.ts';
import type { LiveSocket, SocketHandler } from './socket.ts';

/** What the URL of a classic socket says. */
export interface ClassicAddress {
  readonly userId: string;
  readonly query: URLSearchParams;
}

const maxEarly = 256;
/** How long a write waits to come back on the stream before the next one is looked at. */
const echoMs = 2_000;
/** Times the state is read again when the epoch changes in between. */
const maxRounds = 3;
const idShape = /^[A-Za-z0-9._:~-]{1,128}$/;

const pong = controlFrame({ type: 'pong' });

/**
 * One WebSocket of `/ws/{user_id}`: the classic frames over the same feed. Positions do not appear in them, so
 * the gateway keeps them: everything changed since the device last had it is pushed at the beginning, and what
 * a pong proves to have arrived is acknowledged for the device.
 */
export class ClassicSocket implements SocketHandler, Guest, Sink {
  readonly fences = false;
  readonly requests = new InFlight();
  connection: Connection | undefined;
  private readonly deps: LiveDeps;
  private readonly socket: LiveSocket;
  private readonly settle: () => void;
  private readonly address: ClassicAddress;
  private readonly budget: FrameBudget;
  private readonly tokens = new ClassicTokens();
  private state: 'waiting' | 'opening' | 'open' | 'closed' = 'waiting';
  private early: Buffer[] = [];
  private device: DeviceName;
  private named: boolean;
  private lane: Promise<void> = Promise.resolve();
  private checkAt = 0;
  private provenAt = 0;
  private askedAt = 0;
  private awaited: { readonly offset: number; readonly resolve: () => void } | undefined;
  private readonly ending = new AbortController();

  constructor(deps: LiveDeps, socket: LiveSocket, settle: () => void, address: ClassicAddress) {
    this.deps = deps;
    this.socket = socket;
    this.settle = settle;
    this.address = address;
    this.budget = new FrameBudget(deps.limits);
    const named = address.query.get('device_id') ?? '';
    this.named = idShape.test(named);
    const platform = address.query.get('platform') ?? 'classic';
    this.device = {
      id: this.named ? named : `classic-${deps.newId()}`,
      platform: idShape.test(platform) ? platform : 'classic',
      name: '',
    };
    socket.ws.on('pong', (data) => this.proven(Number(data.toString('latin1'))));
  }

  get principal(): Principal {
    if (!this.connection) throw new Error('bug: nobody has signed in');
    return this.connection.principal;
  }

  get deviceId(): string {
    return this.device.id;
  }

  /** Begins at once when the URL brings a token; otherwise the first frame has to. */
  open(): void {
    const token = this.address.query.get('token');
    if (token) this.begin(token);
  }

  get queued(): number {
    return this.socket.outbox.queued;
  }

  close(why: Closing): void {
    this.socket.close(why);
  }

  frame(bytes: Buffer): void {
    if (this.state === 'open') this.received(bytes);
    else if (this.state === 'opening') {
      if (this.early.push(bytes) > maxEarly) this.close(closing(closeCodes.protocolError));
    } else this.first(bytes);
  }

  closed(): void {
    this.state = 'closed';
    this.early = [];
    this.ending.abort(new AppError('cancelled'));
    this.settle();
    this.awaited?.resolve();
    if (!this.connection) return;
    this.deps.people.remove(this);
    this.connection.end();
  }

  sweep(nowMs: number): void {
    // Before that a pong would prove nothing.
    if (this.state !== 'open') return;
    const position = this.stream?.position ?? 0;
    if (position > this.askedAt) {
      // What comes back was received after everything before it.
      this.askedAt = position;
      this.socket.ws.ping(String(position));
    }
    if (nowMs < this.checkAt) return;
    this.checkAt = nowMs + this.deps.tuning.recheckMs;
    void this.recheck();
  }

  // As a sink: events and tokens become classic frames; frames of the other protocol are not for us.

  control(): void {}

  batch(batch: Batch, _stream: StreamPosition): void {
    for (const frame of batch.frames) {
      const classic =
        frame.kind === 'event'
          ? classicFrame(frame, this.device.id)
          : frame.token && this.tokens.frame(frame.token);
      if (classic) this.send(classic);
    }
    if (this.awaited && batch.last >= this.awaited.offset) this.awaited.resolve();
  }

  ready(): Promise<void> | undefined {
    return this.socket.outbox.ready();
  }

  private get stream() {
    return this.connection?.stream(this.connection.personal);
  }

  private first(bytes: Buffer): void {
    try {
      const { type, value } = parseFrame(bytes);
      if (type !== 'auth') throw new AppError('unauthenticated', 'Send {type: "auth", token} first');
      this.begin(decode(classicClientFrames.auth, value).token);
    } catch (error) {
      this.fail(error);
    }
  }

  private begin(token: string): void {
    this.state = 'opening';
    const startedMs = this.deps.clock.now();
    this.socket.ws.pause();
    this.enter(token).then(
      () => {
        if (this.state === 'open') this.deps.opened('classic', startedMs, 'ok');
      },
      (error: unknown) => {
        if (this.state !== 'closed') this.deps.opened('classic', startedMs, toAppError(error).code);
        this.fail(error);
      },
    );
  }

  private fail(error: unknown): void {
    if (this.state === 'closed') return;
    const fault = toAppError(error);
    if (fault.code === 'internal')
      this.deps.log.error({ err: error }, 'a classic socket could not be opened');
    this.sendError(fault);
    this.close(closingFor(fault));
  }

  private async enter(token: string): Promise<void> {
    // A token is a JWT with two dots in it, a ticket has none.
    const credentials = token.split('.').length === 3 ? { token } : { ticket: token };
    const principal = await this.deps.signIn(credentials, this.ending.signal);
    if (this.ending.signal.aborted) return;
    this.settle();
    if (principal.userId !== this.address.userId) {
      throw new AppError('forbidden', 'This socket belongs to somebody else');
    }
    const connection = new Connection(this.deps.connection, principal, this.device, this);
    connection.onFault = (fault) => this.close(closingFor(fault));
    connection.onRestarted = () => this.close(closing(closeCodes.tooSlow));
    // These clients know one space, and no state hash.
    connection.fixed = true;
    connection.checks = false;
    this.connection = connection;
    this.deps.people.add(this);
    // A slow reader may take longer over what it missed than a stranger may over the first frame.
    this.socket.greet();
    await this.catchUp(connection);
    if (this.ending.signal.aborted) return;
    this.state = 'open';
    this.checkAt = this.deps.clock.now() + this.deps.tuning.recheckMs;
    for (const early of this.early.splice(0)) this.frame(early);
    this.socket.ws.resume();
  }

  /** Pushes what changed since the device had it, then goes on exactly from there. */
  private async catchUp(connection: Connection): Promise<void> {
    for (let round = 0; round < maxRounds; round += 1) {
      const since =
        round === 0 ? { afterOffset: 0, deviceId: this.device.id } : { afterOffset: 0, deviceId: '' };
      const changed = await this.deps.clients.sync.readClassic(
        { ...since, versions: [], compare: false, cursor: '' },
        connection.call(),
      );
      const { epoch, offset } = changed;
      const [stream] = await connection.open([{ space: 'personal', epoch, offset }]);
      if (!stream || 'error' in stream) throw new AppError('unavailable', 'the personal space is away');
      if (!stream.recovered) {
        connection.unsubscribe(stream.space, 'restart');
        continue;
      }
      for (const data of changed.items) {
        for (let room = this.ready(); room && !this.ending.signal.aborted; room = this.ready()) await room;
        if (this.ending.signal.aborted) return;
        if (data.type !== sessionType) this.send(dataUpdate(data));
      }
      connection.begin();
      return;
    }
    throw new AppError('unavailable', 'the position was lost again and again');
  }

  private received(bytes: Buffer): void {
    let inbound: Inbound;
    try {
      inbound = parseFrame(bytes);
      if (inbound.type === 'ping') {
        if (!this.budget.passes(this.deps.clock.now())) throw new AppError('rate_limited');
        this.send(pong);
        return;
      }
      if (!isClassic(inbound.type)) throw new AppError('unknown_type');
      this.budget.request(this.principal.userId);
      if (this.requests.size >= this.deps.tuning.maxInflight) throw new AppError('overloaded');
    } catch (error) {
      this.refuse(error);
      return;
    }
    this.requests.began();
    const untilMs = performance.now() + this.deps.tuning.callTimeoutMs;
    // One after the other: a write is judged by what its device has seen.
    this.lane = this.lane.then(async () => {
      try {
        // Those before it took all of its time: whoever sent it has gone or sends it again.
        if (performance.now() >= untilMs) throw new AppError('deadline_exceeded');
        await withSpan(`classic frame ${inbound.type}`, { kind: SpanKind.SERVER }, () =>
          performClassic(inbound, this.port),
        );
      } catch (error) {
        this.refuse(error);
      } finally {
        this.requests.ended();
      }
    });
  }

  /** What requests work on. */
  private get port(): ClassicPort {
    const { clients, verifier, newId } = this.deps;
    return {
      ...{ clients, verifier, newId, personal: this.connection?.personal ?? '' },
      device: () => this.device,
      position: this.stream?.position ?? 0,
      epoch: this.stream?.epoch,
      renew: async (principal) => {
        if (principal.userId !== this.principal.userId) throw new AppError('forbidden');
        await this.connection?.renew(principal, verifier);
      },
      rename: ({ id, platform }) => {
        this.named ||= id !== undefined;
        this.device = { ...this.device, id: id ?? this.device.id, platform };
        this.connection?.rename(this.device);
      },
      send: (frame) => this.send(frame),
      ready: () => this.ready(),
      signal: this.ending.signal,
      call: (scope) => this.call(scope),
      reached: (offset) => this.reached(offset),
    };
  }

  private call(scope: string) {
    const connection = this.connection;
    if (!connection) throw new AppError('unauthenticated');
    if (!connection.principal.scopes.includes(scope)) {
      throw new AppError('forbidden', `The token lacks the scope ${scope}`);
    }
    return connection.detachedCall();
  }

  /** Waits until this socket was given everything up to an offset: only then has the device seen its own write. */
  private async reached(offset: number): Promise<void> {
    if ((this.stream?.position ?? offset) >= offset) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.awaited = { offset, resolve };
      timer = setTimeout(resolve, echoMs);
    });
    clearTimeout(timer);
    this.awaited = undefined;
  }

  /** The peer has answered a ping that was sent behind everything up to `offset`. */
  private proven(offset: number): void {
    if (!Number.isSafeInteger(offset) || offset <= this.provenAt || offset > this.askedAt) return;
    this.provenAt = offset;
    const { connection } = this;
    const epoch = this.stream?.epoch;
    if (!this.named || !connection || epoch === undefined || this.state !== 'open') return;
    this.deps.clients.sync
      .ackDevice(
        { space: connection.personal, deviceId: this.device.id, offset, seq: 0, epoch },
        connection.call(),
      )
      // The next pong says it again.
      .catch(() => {});
  }

  /** A socket lives with its login, not with the token: classic clients cannot renew theirs. */
  private async recheck(): Promise<void> {
    const { principal } = this;
    const { sessionId, tokenId } = principal;
    const over = principal.kind === 'api' && principal.expiresAtMs < this.deps.clock.now();
    try {
      const answer = await this.deps.clients.auth.checkSessions(
        { sessionIds: sessionId ? [sessionId] : [], tokenIds: tokenId ? [tokenId] : [] },
        this.call('session'),
      );
      const ended = answer.revokedSessionIds.length + answer.revokedTokenIds.length > 0;
      if (over || ended || this.deps.verifier.isRevoked(principal)) {
        this.close(closing(closeCodes.signInAgain));
      }
    } catch (error) {
      // Auth is away: revocations still come by the verifier, and the next round asks again.
      this.deps.log.warn({ err: error }, 'a classic socket could not be checked');
    }
  }

  private refuse(error: unknown): void {
    if (this.state === 'closed') return;
    const fault = toAppError(error);
    if (fault.code === 'internal')
      this.deps.log.error({ err: error }, 'a classic frame could not be handled');
    this.sendError(fault);
    const ours = fault.row.retryable && fault.code !== 'rate_limited';
    if (!ours && this.budget.refused(this.deps.clock.now())) this.close(closing(closeCodes.overLimit));
  }

  private sendError(fault: AppError): void {
    this.send(controlFrame({ type: 'error', error: { code: fault.code, message: fault.detail } }));
  }

  private send(frame: Frame): void {
    this.socket.outbox.control(frame);
  }
}
