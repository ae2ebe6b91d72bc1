import { AppError, toAppError } from '@skein/contracts';
import { SpanKind, withSpan } from '@skein/telemetry';
import type { DeviceName } from '../live/actor.ts';
import { type Closing, closeCodes, closing, closingFor } from '../live/close.ts';
import { Connection } from '../live/connection.ts';
import type { LiveDeps } from '../live/deps.ts';
import { controlFrame, type Frame } from '../live/frame.ts';
import { InFlight } from '../live/in-flight.ts';
import type { Guest } from '../live/people.ts';
import { expiryOf } from '../live/sign-in.ts';
import type { Principal } from '../ports.ts';
import { FrameBudget } from './budget.ts';
import { errorFrame } from './error-frame.ts';
import { decode, type Inbound, parseFrame } from './inbound.ts';
import {
  isClientFrame,
  isRequest,
  type Outcome,
  type RequestPort,
  type RequestType,
  requests,
  resultFrame,
} from './requests.ts';
import { type ClientFrame, clientFrames } from './schemas.ts';
import type { LiveSocket, SocketHandler } from './socket.ts';

/** Frames that may arrive behind a `hello` that is being worked on: no more than one read of the socket holds. */
const maxEarly = 256;
const typingEveryMs = 500;

/** What a request costs: as much as its mutations would one by one. */
const costOf = (value: Inbound['value']): number => {
  const { mutations } = value as { readonly mutations?: unknown };
  return Array.isArray(mutations) ? Math.max(1, mutations.length) : 1;
};

/**
 * One WebSocket of `/v1/connect`: hello, welcome, then frames both ways until somebody leaves. A request with
 * an `id` gets exactly one `result` or `error`.
 */
export class ConnectSocket implements SocketHandler, Guest {
  readonly fences = true;
  connection: Connection | undefined;
  deviceId = '';
  readonly requests = new InFlight();
  private readonly deps: LiveDeps;
  private readonly socket: LiveSocket;
  private readonly settle: () => void;
  private readonly budget: FrameBudget;
  private state: 'hello' | 'opening' | 'open' | 'closed' = 'hello';
  private early: Buffer[] = [];
  private lanes: Map<string, Promise<void>> | undefined;
  private acks: Map<string, { epoch: string; offset: number; seq: number }> | undefined;
  private typedAt = 0;
  /** From the first request on: most sockets only listen. */
  private port: Omit<RequestPort, 'call' | 'epoch'> | undefined;
  /** Only while the socket is being opened; then the connection has its own. */
  private ending: AbortController | undefined;

  constructor(deps: LiveDeps, socket: LiveSocket, settle: () => void) {
    this.deps = deps;
    this.socket = socket;
    this.settle = settle;
    this.budget = new FrameBudget(deps.limits);
  }

  get principal(): Principal {
    if (!this.connection) throw new Error('bug: nobody has signed in');
    return this.connection.principal;
  }

  get queued(): number {
    return this.socket.outbox.queued;
  }

  close(why: Closing): void {
    this.socket.close(why);
  }

  frame(bytes: Buffer): void {
    if (this.state === 'open') this.received(bytes);
    else if (this.state === 'hello') this.first(bytes);
    else if (this.early.push(bytes) > maxEarly) this.close(closing(closeCodes.protocolError));
  }

  closed(): void {
    this.state = 'closed';
    this.early = [];
    this.ending?.abort(new AppError('cancelled'));
    this.settle();
    this.sendAcks();
    if (!this.connection) return;
    this.deps.people.remove(this);
    this.connection.end();
  }

  sweep(nowMs: number): void {
    this.sendAcks();
    if (nowMs > this.principal.expiresAtMs + this.deps.tuning.graceMs) {
      this.close(closing(closeCodes.signInAgain));
    }
  }

  private first(bytes: Buffer): void {
    this.state = 'opening';
    const startedMs = this.deps.clock.now();
    // What comes behind waits in the kernel until we know who it is.
    this.socket.ws.pause();
    const welcomed = () => this.deps.opened('connect', startedMs, 'ok');
    this.hello(bytes, welcomed).catch((error: unknown) => {
      const fault = toAppError(error);
      if (this.state === 'closed') return;
      this.deps.opened('connect', startedMs, fault.code);
      if (fault.code === 'internal') this.deps.log.error({ err: error }, 'a socket could not be opened');
      this.send(errorFrame(fault));
      this.close(closingFor(fault));
    });
  }

  private async hello(bytes: Buffer, welcomed: () => void): Promise<void> {
    const inbound = parseFrame(bytes);
    if (inbound.type !== 'hello') throw new AppError('protocol_error', 'The first frame must be hello');
    const hello = decode(clientFrames.hello, inbound.value);
    this.ending = new AbortController();
    const principal = await this.deps.signIn(hello, this.ending.signal);
    if (this.isClosed()) return;
    this.ending = undefined;
    this.settle();
    const device: DeviceName = { ...hello.device, name: hello.device.name ?? '' };
    const connection = new Connection(this.deps.connection, principal, device, this.socket.outbox);
    connection.isSocket = true;
    connection.onFault = (fault) => this.close(closingFor(fault));
    this.deviceId = device.id;
    this.connection = connection;
    this.deps.people.add(this);
    const streams = await connection.open(hello.streams);
    // A revocation may have come while the spaces were opened.
    if (this.deps.verifier.isRevoked(principal)) throw new AppError('session_revoked');
    this.send(this.welcome(connection, streams));
    if (hello.id !== undefined) this.send(resultFrame(hello.id, {}));
    this.state = 'open';
    welcomed();
    this.socket.greet();
    connection.begin();
    for (const early of this.early.splice(0)) this.frame(early);
    this.socket.ws.resume();
  }

  private isClosed(): boolean {
    return this.state === 'closed';
  }

  private welcome(connection: Connection, streams: readonly unknown[]): Frame {
    const { tuning, clock } = this.deps;
    return controlFrame({
      type: 'welcome',
      connection: connection.id,
      user: connection.userId,
      device: connection.device.id,
      streams,
      authExpiresAt: expiryOf(connection.principal),
      pingMs: tuning.pingMs,
      maxFrame: tuning.maxFrame,
      maxInflight: tuning.maxInflight,
      answerMs: tuning.callTimeoutMs,
      serverTime: clock.now(),
    });
  }

  private portOf(connection: Connection): Omit<RequestPort, 'call' | 'epoch'> {
    const { clients, verifier, diverged } = this.deps;
    return {
      clients,
      verifier,
      connection,
      diverged,
      renew: (principal) => connection.renew(principal, verifier),
      send: (frame) => this.send(frame),
      pageCall: () => connection.detachedCall(),
    };
  }

  private received(bytes: Buffer): void {
    let inbound: Inbound | undefined;
    try {
      inbound = parseFrame(bytes);
      this.dispatch(inbound);
    } catch (error) {
      this.refuse(error, inbound?.id);
    }
  }

  private dispatch(inbound: Inbound): void {
    const { type, value } = inbound;
    if (isRequest(type)) {
      this.request(type, inbound);
      return;
    }
    if (!isClientFrame(type))
      throw new AppError('unknown_type', `There is no frame of type ${type.slice(0, 64)}`);
    if (!this.budget.passes(this.deps.clock.now())) throw new AppError('rate_limited');
    switch (type) {
      case 'ping':
        this.pong(decode(clientFrames.ping, value));
        break;
      case 'ack':
        this.ack(decode(clientFrames.ack, value));
        break;
      case 'typing':
        this.typing(decode(clientFrames.typing, value));
        break;
      default:
        throw new AppError('protocol_error', 'hello comes once');
    }
  }

  private request(type: RequestType, { id, value }: Inbound): void {
    const { connection } = this;
    if (!connection) return;
    this.port ??= this.portOf(connection);
    const { port } = this;
    this.budget.request(connection.userId, costOf(value));
    if (this.requests.size >= this.deps.tuning.maxInflight) {
      throw new AppError('overloaded', 'Too many requests without an answer yet', { retryAfterMs: 1_000 });
    }
    const { scope, order, handle } = requests[type] as {
      scope: string;
      order?: (frame: unknown, port: RequestPort) => string;
      handle: (frame: unknown, port: RequestPort) => Promise<Outcome>;
    };
    const frame = decode(clientFrames[type], value);
    // Those before it may take all of its time: then it says so, instead of making those behind it wait as well.
    const untilMs = performance.now() + this.deps.tuning.callTimeoutMs;
    const { space } = frame as { readonly space?: string };
    const own: RequestPort = {
      ...port,
      epoch: connection.stream(connection.resolve(space))?.heldEpoch,
      call: () => connection.detachedCall(untilMs - performance.now()),
    };
    if (!connection.principal.scopes.includes(scope)) {
      throw new AppError('forbidden', `The token lacks the scope ${scope}`);
    }
    this.requests.began();
    const work = async () => {
      try {
        if (performance.now() >= untilMs)
          throw new AppError('deadline_exceeded', 'It did not get its turn in time');
        const outcome = await withSpan(`frame ${type}`, { kind: SpanKind.SERVER }, () => handle(frame, own));
        if (id !== undefined) this.socket.outbox.soon(resultFrame(id, outcome));
      } catch (error) {
        this.refuse(error, id);
      } finally {
        this.requests.ended();
      }
    };
    if (order) this.inLane(order(frame, own), work);
    else void work();
  }

  /** One after the other: what a client sent first happens first. */
  private inLane(lane: string, work: () => Promise<void>): void {
    this.lanes ??= new Map();
    const { lanes } = this;
    const before = lanes.get(lane) ?? Promise.resolve();
    const mine = before.then(work);
    lanes.set(lane, mine);
    void mine.finally(() => {
      if (lanes.get(lane) === mine) lanes.delete(lane);
    });
  }

  private refuse(error: unknown, id: string | number | undefined): void {
    if (this.state === 'closed') return;
    const fault = toAppError(error);
    if (fault.code === 'internal') this.deps.log.error({ err: error }, 'a frame could not be handled');
    this.send(errorFrame(fault, id));
    const ours = fault.row.retryable && fault.code !== 'rate_limited';
    if (!ours && this.budget.refused(this.deps.clock.now())) this.close(closing(closeCodes.overLimit));
  }

  private pong({ t }: ClientFrame<'ping'>): void {
    this.send(
      controlFrame({ type: 'pong', ...(t === undefined ? {} : { t }), serverTime: this.deps.clock.now() }),
    );
  }

  private ack({ space, offset, seq }: ClientFrame<'ack'>): void {
    const id = this.connection?.resolve(space) ?? '';
    // A log that the client was told of and has not got yet is none that it can have applied.
    const epoch = this.connection?.stream(id)?.heldEpoch;
    if (epoch === undefined) return;
    this.acks ??= new Map();
    // What was acknowledged of another log says nothing about this one.
    const before = this.acks.get(id);
    const known = before?.epoch === epoch ? before : undefined;
    this.acks.set(id, {
      epoch,
      offset: Math.max(offset, known?.offset ?? 0),
      seq: Math.max(seq ?? 0, known?.seq ?? 0),
    });
  }

  /** Acks are cumulative: the newest of a second is enough. */
  private sendAcks(): void {
    const { acks, connection } = this;
    if (!acks || !connection) return;
    for (const [space, { epoch, offset, seq }] of acks) {
      this.deps.clients.sync
        .ackDevice({ space, deviceId: this.deviceId, offset, seq, epoch }, connection.call())
        // The next ack says it again.
        .catch(() => {});
    }
    this.acks = undefined;
  }

  private typing({ space, conversationId }: ClientFrame<'typing'>): void {
    const { connection } = this;
    const now = this.deps.clock.now();
    const id = connection?.resolve(space) ?? '';
    if (!connection?.stream(id) || now - this.typedAt < typingEveryMs) return;
    this.typedAt = now;
    this.deps.typing({ space: id, conversationId, userId: connection.userId, deviceId: this.deviceId });
  }

  private send(frame: Frame): void {
    this.socket.outbox.control(frame);
  }
}
