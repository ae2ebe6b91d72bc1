import { AppError, type syncV1 } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import type { Counter } from '@skein/telemetry';
import { mutationsJson } from '../http/mutations-json.ts';
import type { Connection } from '../live/connection.ts';
import { controlFrame, type Frame, rawFrame } from '../live/frame.ts';
import { expiryOf } from '../live/sign-in.ts';
import type { Clients, Principal, TokenVerifier } from '../ports.ts';
import { differences, inPieces } from './differences.ts';
import { type ClientFrame, type ClientFrameType, clientFrames } from './schemas.ts';

/** What requests work on. */
export interface RequestPort {
  readonly clients: Clients;
  readonly verifier: TokenVerifier;
  readonly connection: Connection;
  readonly diverged: Counter;
  renew(principal: Principal): Promise<void>;
  send(frame: Frame): void;
  /** Of the log of the frame's space that the client had when the frame came; undefined when it does not follow it. */
  readonly epoch: string | undefined;
  /** A call that ends when the request must be answered, counted from its arrival. */
  call(): CallContext;
  /** A call with all the time of one: for a request that is answered in many frames. */
  pageCall(): CallContext;
}

/** The fields of a `result`: an object, or JSON members to splice in as they are. */
export type Outcome = Readonly<Record<string, unknown>> | { readonly members: string };

interface Request<T extends ClientFrameType> {
  /** What the token must allow. */
  readonly scope: string;
  /** Requests with the same key of one socket are done one after the other. */
  readonly order?: (frame: ClientFrame<T>, port: RequestPort) => string;
  readonly handle: (frame: ClientFrame<T>, port: RequestPort) => Promise<Outcome>;
}

const originOf = ({ connection }: RequestPort): syncV1.Origin => ({ device: { ...connection.device } });

const bySpace = ({ space }: { space?: string | undefined }, { connection }: RequestPort): string =>
  connection.resolve(space);

/** A client that names no epoch need not know of it: the snapshot is on its way, and then the same may be sent. */
const comesAgain = (error: unknown): unknown =>
  error instanceof AppError && error.code === 'position_lost'
    ? new AppError('unavailable', error.detail, { cause: error, retryAfterMs: 1_000 })
    : error;

const withoutEmpty = (fields: Readonly<Record<string, unknown>>): Outcome =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== '' && value !== undefined));

const sessionChange = async (
  space: string | undefined,
  change: { persona?: string; memoryEnabled?: boolean },
  port: RequestPort,
): Promise<Outcome> => {
  const { offset, persona, memoryEnabled } = await port.clients.sync.changeSession(
    { space: port.connection.resolve(space), ...change, origin: originOf(port) },
    port.call(),
  );
  return { ...(offset > 0 ? { offset } : {}), persona, memoryEnabled };
};

/** Every request of a client that gets a `result`: what it needs, its order, what it does. */
export const requests: {
  readonly [T in Exclude<ClientFrameType, 'hello' | 'typing' | 'ack' | 'ping'>]: Request<T>;
} = {
  auth: {
    scope: 'session',
    order: () => 'auth',
    handle: async ({ token }, port) => {
      const principal = await port.verifier.verify(token);
      if (principal.userId !== port.connection.userId) {
        throw new AppError('forbidden', 'The token belongs to somebody else');
      }
      await port.renew(principal);
      return { authExpiresAt: expiryOf(principal) };
    },
  },
  mutate: {
    scope: 'documents:write',
    order: bySpace,
    handle: async ({ space, epoch, mutations }, port) => {
      const { resultsJson, lastSeq } = await port.clients.sync
        .mutate(
          {
            space: port.connection.resolve(space),
            epoch: epoch ?? port.epoch,
            origin: originOf(port),
            mutationsJson: mutationsJson(mutations),
          },
          port.call(),
        )
        .catch((error: unknown) => {
          throw epoch === undefined ? comesAgain(error) : error;
        });
      return { members: `"results":${resultsJson || '[]'},"lastSeq":${lastSeq}` };
    },
  },
  message: {
    scope: 'messages:write',
    order: bySpace,
    handle: async (frame, port) => {
      const answer = await port.clients.sync.appendMessage(
        {
          space: port.connection.resolve(frame.space),
          conversationId: frame.conversationId ?? '',
          clientMessageId: frame.clientMessageId,
          text: frame.text,
          persona: frame.persona ?? '',
          attachmentsJson: frame.attachments ? JSON.stringify(frame.attachments) : '',
          reply: frame.reply ?? true,
          origin: originOf(port),
        },
        port.call(),
      );
      const { messageId, conversationId, turnId, offset, duplicate } = answer;
      return withoutEmpty({ messageId, conversationId, turnId, offset, duplicate: duplicate || undefined });
    },
  },
  cancel: {
    scope: 'messages:write',
    handle: async ({ turnId }, port) => {
      const { state } = await port.clients.agent.cancelTurn({ turnId }, port.call());
      return { state };
    },
  },
  persona_change: {
    scope: 'session',
    order: bySpace,
    handle: ({ space, persona }, port) => sessionChange(space, { persona }, port),
  },
  memory_toggle: {
    scope: 'session',
    order: bySpace,
    handle: ({ space, enabled }, port) => sessionChange(space, { memoryEnabled: enabled }, port),
  },
  platform_register: {
    scope: 'session',
    order: () => 'platform',
    handle: async ({ platform, name }, port) => {
      const { device } = port.connection;
      port.connection.rename({ ...device, platform, name: name ?? device.name });
      const { offset } = await port.clients.sync.registerPlatform({ origin: originOf(port) }, port.call());
      return offset > 0 ? { offset } : {};
    },
  },
  subscribe: {
    scope: 'session',
    order: bySpace,
    handle: async ({ space, epoch, offset, lastId }, port) => {
      await port.connection.subscribe({ space, epoch, offset, lastId });
      return { space: port.connection.resolve(space) };
    },
  },
  unsubscribe: {
    scope: 'session',
    order: bySpace,
    handle: async ({ space }, port) => {
      const id = port.connection.resolve(space);
      port.connection.unsubscribe(id, 'requested');
      return { space: id };
    },
  },
  sync_request: {
    scope: 'documents:read',
    // One at a time: its answer may be many frames.
    order: () => 'sync_request',
    handle: async (frame, port) => {
      const { clients, connection } = port;
      const space = connection.resolve(frame.space);
      let offset = 0;
      const differing = differences(
        clients.sync,
        { space, versions: frame.versions },
        () => port.pageCall(),
        (head) => {
          offset = head;
        },
        (count) => port.diverged.add(count),
      );
      for await (const { documents, gone, more } of inPieces(differing, connection.sink, connection.signal)) {
        const head = JSON.stringify({ type: 'sync_response', space, offset, ...(more ? { more } : {}) });
        port.send(rawFrame(`${head.slice(0, -1)},"documents":${documents},"gone":${gone}}`));
      }
      return { space, offset };
    },
  },
};

/** Types that are requests. */
export type RequestType = keyof typeof requests;

/** Whether a type of frame is a request. */
export const isRequest = (type: string): type is RequestType => Object.hasOwn(requests, type);

/** Whether a type of frame is known at all. */
export const isClientFrame = (type: string): type is ClientFrameType => Object.hasOwn(clientFrames, type);

/** The `result` for a request. */
export const resultFrame = (id: string | number, outcome: Outcome): Frame => {
  if (!('members' in outcome)) return controlFrame({ ...outcome, type: 'result', id });
  return rawFrame(`{"type":"result","id":${JSON.stringify(id)},${String(outcome.members)}}`);
};
