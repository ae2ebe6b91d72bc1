import { type Problem, problem } from './answers.ts';
import type { Sent } from './bytes.ts';

/** Bytes on a fresh connection, the answer, and the end of the connection. `{key}` is a WebSocket key. */
export interface WireCase {
  readonly what: string;
  readonly bytes: Sent;
  readonly answer: Pick<Problem, 'status' | 'code' | 'detail'>;
}

const upgrade = (path: string, more = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n${more}\r\n`;

const { status, code, detail } = problem(400, 'invalid_request', 'Bad Request');
const badRequest = { status, code, detail };

/** What is no request at all. */
export const wireCases: readonly WireCase[] = [
  { what: 'a request line that is none', bytes: 'NONSENSE\r\n\r\n', answer: badRequest },
  {
    what: 'the start of a TLS handshake',
    bytes: { hex: '16 03 01 00 a5 01 00 00 a1 03 03' },
    answer: badRequest,
  },
  {
    what: 'length and chunks at once',
    bytes: 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
    answer: badRequest,
  },
  {
    what: 'headers above 16 KB',
    bytes: { head: 'GET / HTTP/1.1\r\nHost: x\r\nX: ', fill: 'x', times: 20_000, tail: '\r\n\r\n' },
    answer: { status: 431, code: 'too_large', detail: 'Request Header Fields Too Large' },
  },
  {
    what: 'an upgrade of another path',
    bytes: upgrade('/elsewhere'),
    answer: { status: 404, code: 'not_found', detail: 'Not found' },
  },
  {
    what: 'an upgrade of a path that is no percent-encoding',
    bytes: upgrade('/ws/%E0%A4%A'),
    answer: { status: 404, code: 'not_found', detail: 'Not found' },
  },
  {
    what: 'an upgrade by a page of another origin',
    bytes: upgrade('/v1/connect', 'Origin: https://evil.example\r\n'),
    answer: { status: 403, code: 'origin_not_allowed', detail: 'This origin is not on the allowlist' },
  },
];
