import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { FieldError } from '@skein/contracts';

/**
 * The few messages of `google.rpc` that travel in `grpc-status-details-bin`, written by hand: Status (code 1,
 * message 2, details 3 of google.protobuf.Any), ErrorInfo, RetryInfo and BadRequest. See google/rpc/status.proto
 * and google/rpc/error_details.proto of the public googleapis repository.
 */
export interface RpcStatus {
  readonly code: number;
  readonly message: string;
  /** ErrorInfo.reason */
  readonly reason: string;
  /** ErrorInfo.domain */
  readonly domain: string;
  /** ErrorInfo.metadata */
  readonly metadata: Readonly<Record<string, string>>;
  /** RetryInfo.retry_delay in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** BadRequest.field_violations */
  readonly errors: readonly FieldError[];
}

const type = (name: string): string => `type.googleapis.com/google.rpc.${name}`;
const errorInfo = type('ErrorInfo');
const retryInfo = type('RetryInfo');
const badRequest = type('BadRequest');

const any = (writer: BinaryWriter, url: string, fill: (value: BinaryWriter) => void): void => {
  const value = new BinaryWriter();
  fill(value);
  writer.uint32((3 << 3) | WireType.LengthDelimited).fork();
  writer.uint32((1 << 3) | WireType.LengthDelimited).string(url);
  writer.uint32((2 << 3) | WireType.LengthDelimited).bytes(value.finish());
  writer.join();
};

const text = (writer: BinaryWriter, field: number, value: string): void => {
  if (value !== '') writer.uint32((field << 3) | WireType.LengthDelimited).string(value);
};

const pair = (writer: BinaryWriter, field: number, key: string, value: string): void => {
  writer.uint32((field << 3) | WireType.LengthDelimited).fork();
  text(writer, 1, key);
  text(writer, 2, value);
  writer.join();
};

/** The bytes of `grpc-status-details-bin`. */
export const encodeRpcStatus = (status: RpcStatus): Buffer => {
  const writer = new BinaryWriter();
  if (status.code !== 0) writer.uint32(1 << 3).int32(status.code);
  text(writer, 2, status.message);
  any(writer, errorInfo, (value) => {
    text(value, 1, status.reason);
    text(value, 2, status.domain);
    for (const [key, item] of Object.entries(status.metadata)) pair(value, 3, key, item);
  });
  const { retryAfterMs } = status;
  if (retryAfterMs !== undefined) {
    any(writer, retryInfo, (value) => {
      value.uint32((1 << 3) | WireType.LengthDelimited).fork();
      value.uint32(1 << 3).int64(Math.floor(retryAfterMs / 1000));
      value.uint32(2 << 3).int32(Math.round(retryAfterMs % 1000) * 1_000_000);
      value.join();
    });
  }
  if (status.errors.length > 0) {
    any(writer, badRequest, (value) => {
      for (const one of status.errors) pair(value, 1, one.path, one.message);
    });
  }
  return Buffer.from(writer.finish());
};

type Fields = Readonly<Record<number, (reader: BinaryReader) => void>>;

const read = (bytes: Uint8Array, fields: Fields): void => {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    const take = fields[field];
    if (take) take(reader);
    else reader.skip(wire, field);
  }
};

const readPair = (bytes: Uint8Array): [string, string] => {
  const found: [string, string] = ['', ''];
  read(bytes, {
    1: (reader) => {
      found[0] = reader.string();
    },
    2: (reader) => {
      found[1] = reader.string();
    },
  });
  return found;
};

/** Reads what `encodeRpcStatus` (or another gRPC stack) wrote; unknown details are skipped, malformed bytes throw. */
export const decodeRpcStatus = (bytes: Uint8Array): RpcStatus => {
  let code = 0;
  let message = '';
  let reason = '';
  let domain = '';
  let retryAfterMs: number | undefined;
  const metadata: Record<string, string> = Object.create(null) as Record<string, string>;
  const errors: FieldError[] = [];
  const detail = (url: string, value: Uint8Array): void => {
    if (url === errorInfo) {
      read(value, {
        1: (reader) => {
          reason = reader.string();
        },
        2: (reader) => {
          domain = reader.string();
        },
        3: (reader) => {
          const [key, item] = readPair(reader.bytes());
          metadata[key] = item;
        },
      });
    } else if (url === retryInfo) {
      read(value, {
        1: (reader) => {
          let delay = 0;
          read(reader.bytes(), {
            1: (inner) => {
              delay += Number(inner.int64()) * 1000;
            },
            2: (inner) => {
              delay += inner.int32() / 1_000_000;
            },
          });
          retryAfterMs = delay;
        },
      });
    } else if (url === badRequest) {
      read(value, {
        1: (reader) => {
          const [path, violation] = readPair(reader.bytes());
          errors.push({ path, message: violation });
        },
      });
    }
  };
  read(bytes, {
    1: (reader) => {
      code = reader.int32();
    },
    2: (reader) => {
      message = reader.string();
    },
    3: (reader) => {
      let url = '';
      let value: Uint8Array = new Uint8Array();
      read(reader.bytes(), {
        1: (inner) => {
          url = inner.string();
        },
        2: (inner) => {
          value = inner.bytes();
        },
      });
      detail(url, value);
    },
  });
  return { code, message, reason, domain, metadata: { ...metadata }, retryAfterMs, errors };
};
