import { AppError, type syncV1 } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import { rawMember } from '../http/raw-json.ts';
import type { DeviceName } from '../live/actor.ts';
import { type Frame, rawFrame } from '../live/frame.ts';
import type { Clients, Principal, TokenVerifier } from '../ports.ts';
import { dataUpdate, syncDataJson } from './classic-frames.ts';
import { type ClassicFrame, type ClassicFrameType, classicClientFrames } from './classic-schemas.ts';
import { classicDifferences, inPieces } from './differences.ts';
import { decode, type Inbound } from './inbound.ts';

/** What classic requests work on. */
export interface ClassicPort {
  readonly clients: Clients;
  readonly verifier: TokenVerifier;
  readonly newId: () => string;
  /** As it last said who it is. */
  device(): DeviceName;
  /** Id of the person's own space. */
  readonly personal: string;
  /** How far the device was sent the log of its space. */
  readonly position: number;
  /** Of the log that the position is in. */
  readonly epoch: string | undefined;
  renew(principal: Principal): Promise<void>;
  /** The device has said which one it is. */
  rename(device: { readonly id: string | undefined; readonly platform: string }): void;
  send(frame: Frame): void;
  /** As of a sink: a promise while the reader has no room. */
  ready(what: 'snapshot'): Promise<void> | undefined;
  /** Aborts when the socket is gone. */
  readonly signal: AbortSignal;
  /** A call for the person; AppError `forbidden` when the token lacks the scope. */
  call(scope: string): CallContext;
  /** Resolves when this socket was given everything up to an offset. */
  reached(offset: number): Promise<void>;
}

type Requests = {
  readonly [T in ClassicFrameType]: (
    frame: ClassicFrame<T>,
    port: ClassicPort,
    bytes: Buffer,
  ) => Promise<void>;
};

const originOf = (port: ClassicPort): syncV1.Origin => ({ device: { ...port.device() } });

const change = async (port: ClassicPort, changed: { persona?: string; memoryEnabled?: boolean }) => {
  await port.clients.sync.changeSession(
    { space: 'personal', ...changed, origin: originOf(port) },
    port.call('session'),
  );
};

const requests: Requests = {
  ping: async () => {},
  auth: async ({ token }, port) => {
    await port.renew(await port.verifier.verify(token));
  },
  platform_register: async ({ platform, device_id: id }, port) => {
    port.rename({ id, platform });
    await port.clients.sync.registerPlatform({ origin: originOf(port) }, port.call('session'));
  },
  persona_change: ({ persona }, port) => change(port, { persona }),
  memory_toggle: ({ enabled }, port) => change(port, { memoryEnabled: enabled }),
  data_update: async ({ data }, port, bytes) => {
    const mine: syncV1.SyncData = {
      id: data.id,
      type: data.type,
      dataJson: rawMember(bytes.toString('utf8'), ['data', 'data']),
      timestamp: Math.trunc(data.timestamp),
      version: data.version,
    };
    const answer = await port.clients.sync.applyClassic(
      { origin: originOf(port), data: mine, seenOffset: port.position, epoch: port.epoch },
      port.call('documents:write'),
    );
    // A settled outcome comes to everybody on the stream, unless there was nothing to log.
    if (answer.outcome === 'settled' && answer.offset === 0 && answer.server)
      port.send(dataUpdate(answer.server));
    if (answer.outcome === 'conflict' && answer.server) {
      const body = `{"clientData":${syncDataJson(mine)},"serverData":${syncDataJson(answer.server)},"conflictId":${JSON.stringify(answer.conflictId)}}`;
      port.send(rawFrame(`{"type":"conflict","data":${body}}`));
    }
    if (answer.offset > 0) await port.reached(answer.offset);
  },
  sync_request: async ({ versions }, port) => {
    const call = () => port.call('documents:read');
    const differing = classicDifferences(port.clients.sync, versions, call);
    for await (const { documents, more } of inPieces(differing, port, port.signal))
      port.send(rawFrame(`{"type":"sync_response","data":${documents}${more ? ',"more":true' : ''}}`));
  },
  message: async ({ content, persona }, port) => {
    await port.clients.sync.appendMessage(
      {
        space: port.personal,
        conversationId: '',
        clientMessageId: port.newId(),
        text: content,
        persona: persona ?? '',
        attachmentsJson: '',
        reply: true,
        origin: originOf(port),
      },
      port.call('messages:write'),
    );
  },
};

/** Whether there is such a classic frame. */
export const isClassic = (type: string): type is ClassicFrameType => Object.hasOwn(requests, type);

const perform = <T extends ClassicFrameType>(type: T, { value, bytes }: Inbound, port: ClassicPort) =>
  requests[type](decode(classicClientFrames[type], value) as ClassicFrame<T>, port, bytes);

/** Does what a classic frame asks. AppError `unknown_type`, `invalid_request`, `forbidden` and those of the services. */
export const performClassic = async (inbound: Inbound, port: ClassicPort): Promise<void> => {
  if (!isClassic(inbound.type)) throw new AppError('unknown_type');
  await perform(inbound.type, inbound, port);
};
