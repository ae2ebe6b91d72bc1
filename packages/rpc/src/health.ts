import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import type { Server, ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';

/** `grpc.health.v1.HealthCheckResponse.ServingStatus` */
const servingStatus = { SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const;
type ServingStatus = (typeof servingStatus)[keyof typeof servingStatus];

/** Watchers a server keeps; one more is refused, because nobody needs that many. */
const maxWatchers = 100;

/** The health of a server. */
export interface Health {
  /** Everything is NOT_SERVING from now on, and every watcher is told. */
  notServing(): void;
  /** Ends the watchers' streams, which would keep a server from shutting down. */
  end(): void;
}

/** An object, because grpc-js takes an empty text for no request at all. */
interface Asked {
  readonly service: string;
}

const readService = (bytes: Buffer): Asked => {
  const reader = new BinaryReader(bytes);
  let service = '';
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === 1) service = reader.string();
    else reader.skip(wire, field);
  }
  return { service };
};
const writeStatus = (value: ServingStatus): Buffer =>
  Buffer.from(
    new BinaryWriter()
      .uint32(1 << 3)
      .int32(value)
      .finish(),
  );

type Check = ServerUnaryCall<Asked, ServingStatus>;
type Watch = ServerWritableStream<Asked, ServingStatus>;

/**
 * `grpc.health.v1` for the given services and the server as a whole (the empty name). Two messages of one field each
 * are written by hand: the usual package loads a protobuf compiler for them into every process.
 */
export const addHealth = (server: Server, services: readonly string[]): Health => {
  const known = new Set(['', ...services]);
  const watchers = new Set<Watch>();
  let current: ServingStatus = servingStatus.SERVING;

  const check = (call: Check, respond: sendUnaryData<ServingStatus>) => {
    if (known.has(call.request.service)) respond(null, current);
    else respond({ code: status.NOT_FOUND, details: 'Health status unknown for this service' });
  };
  const watch = (call: Watch) => {
    if (watchers.size >= maxWatchers) {
      call.emit('error', { code: status.RESOURCE_EXHAUSTED, details: 'Too many watchers' });
      return;
    }
    call.write(known.has(call.request.service) ? current : servingStatus.SERVICE_UNKNOWN);
    watchers.add(call);
    const leave = () => watchers.delete(call);
    call.once('cancelled', leave);
    call.once('close', leave);
  };
  server.register('/grpc.health.v1.Health/Check', check, writeStatus, readService, 'unary');
  server.register('/grpc.health.v1.Health/Watch', watch, writeStatus, readService, 'serverStream');

  return {
    notServing: () => {
      if (current === servingStatus.NOT_SERVING) return;
      current = servingStatus.NOT_SERVING;
      for (const call of watchers) if (known.has(call.request.service)) call.write(current);
    },
    end: () => {
      for (const call of watchers) call.end();
    },
  };
};
