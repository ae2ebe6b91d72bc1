import { classicError, errorFrame } from './answers.ts';
import type { Sent } from './bytes.ts';

/** One frame, the error that answers it, and the close if there is one; without it the socket stays. */
export interface FrameCase {
  readonly what: string;
  /** Sent instead of `hello`, or once the socket is open. */
  readonly when: 'first' | 'open';
  readonly frame: Sent;
  readonly binary?: true;
  readonly error?: object;
  readonly close?: number;
}

const hello = (more: string) => `{"type":"hello","v":1,"device":{"id":"bad","platform":"web"}${more}}`;

const field = (path: string, message: string, id?: number) =>
  errorFrame('invalid_request', `${path}: ${message}`, {
    ...(id === undefined ? {} : { id }),
    errors: [{ path, message }],
  });

const found = (path: string, message: string, id: number) =>
  errorFrame('invalid_request', `${path} ${message}`, { id, errors: [{ path, message }] });

/** `/v1/connect` */
export const connectFrames: readonly FrameCase[] = [
  {
    what: 'malformed JSON',
    when: 'first',
    frame: '{"type":',
    error: errorFrame('malformed_json', 'The frame is not valid JSON'),
    close: 4000,
  },
  {
    what: 'no object',
    when: 'first',
    frame: '[1]',
    error: errorFrame('invalid_request', 'A frame is a JSON object'),
    close: 4000,
  },
  {
    what: 'another frame before `hello`',
    when: 'first',
    frame: '{"type":"ping"}',
    error: errorFrame('protocol_error', 'The first frame must be hello'),
    close: 4000,
  },
  {
    what: 'an unknown type before `hello`',
    when: 'first',
    frame: '{"type":"dance"}',
    error: errorFrame('protocol_error', 'The first frame must be hello'),
    close: 4000,
  },
  {
    what: '`hello` without credentials',
    when: 'first',
    frame: hello(''),
    error: errorFrame('unauthenticated'),
    close: 4001,
  },
  {
    what: '`hello` of another version',
    when: 'first',
    frame: '{"type":"hello","v":2,"token":"{token}","device":{"id":"bad","platform":"web"}}',
    error: field('v', 'Invalid input: expected 1'),
    close: 4000,
  },
  {
    what: '`hello` with a wrong type',
    when: 'first',
    frame: '{"type":"hello","v":1,"token":"{token}","device":{"id":7,"platform":"web"}}',
    error: field('device.id', 'Invalid input: expected string, received number'),
    close: 4000,
  },
  {
    what: '`hello` with a control character in the name',
    when: 'first',
    frame: '{"type":"hello","v":1,"token":"{token}","device":{"id":"bad","platform":"web","name":"\\u0000"}}',
    error: field('device.name', 'must not contain control characters'),
    close: 4000,
  },
  {
    what: 'a first frame above 64 KB',
    when: 'first',
    frame: { head: '{"type":"hello","pad":"', fill: 'x', times: 70_000, tail: '"}' },
    close: 4009,
  },
  {
    what: 'a `__proto__` key in `hello`',
    when: 'first',
    frame: hello(',"token":"{token}","__proto__":{"v":2}'),
    error: errorFrame('invalid_request', 'The key __proto__ is not allowed'),
    close: 4000,
  },
  { what: 'a binary frame', when: 'first', frame: { hex: '01 02 03' }, binary: true, close: 4000 },
  { what: 'invalid UTF-8', when: 'first', frame: { hex: 'ff fe' }, close: 1007 },
  {
    what: 'malformed JSON',
    when: 'open',
    frame: '{',
    error: errorFrame('malformed_json', 'The frame is not valid JSON'),
  },
  {
    what: 'an unknown type',
    when: 'open',
    frame: '{"type":"dance","id":1}',
    error: errorFrame('unknown_type', 'There is no frame of type dance', { id: 1 }),
  },
  {
    what: 'a type that every object has',
    when: 'open',
    frame: '{"type":"constructor","id":1}',
    error: errorFrame('unknown_type', 'There is no frame of type constructor', { id: 1 }),
  },
  {
    what: 'no type',
    when: 'open',
    frame: '{"id":1}',
    error: errorFrame('invalid_request', 'A frame has a type'),
  },
  {
    what: 'an `id` that is none',
    when: 'open',
    frame: '{"type":"ping","id":{}}',
    error: errorFrame('invalid_request', 'id must be text or a whole number'),
  },
  {
    what: 'a second `hello`',
    when: 'open',
    frame: '{"type":"hello","id":1}',
    error: errorFrame('protocol_error', 'hello comes once', { id: 1 }),
  },
  {
    what: 'a wrong type',
    when: 'open',
    frame: '{"type":"cancel","id":1,"turnId":7}',
    error: field('turnId', 'Invalid input: expected string, received number', 1),
  },
  {
    what: 'deep nesting',
    when: 'open',
    frame: { head: '{"type":"ping","x":', fill: '[', times: 400_000, close: ']', tail: '}' },
    error: errorFrame('invalid_request', 'The frame is nested deeper than 32 levels'),
  },
  {
    what: 'a `__proto__` key',
    when: 'open',
    frame: '{"type":"ping","\\u005f_proto__":{}}',
    error: errorFrame('invalid_request', 'The key __proto__ is not allowed'),
  },
  {
    what: 'half of a surrogate pair',
    when: 'open',
    frame: '{"type":"message","id":1,"space":"personal","clientMessageId":"k","text":"\\udc00"}',
    error: errorFrame('invalid_request', 'The frame holds half of a surrogate pair'),
  },
  {
    what: 'U+0000 in a text',
    when: 'open',
    frame: '{"type":"message","id":1,"space":"personal","clientMessageId":"k","text":"\\u0000"}',
    error: found('text', 'must not contain U+0000', 1),
  },
  {
    what: 'a control character in a new name',
    when: 'open',
    frame: '{"type":"platform_register","id":1,"platform":"web","name":"\\u0000"}',
    error: field('name', 'must not contain control characters', 1),
  },
  {
    what: 'a message into someone else’s space',
    when: 'open',
    frame: '{"type":"message","id":1,"space":"{otherSpace}","clientMessageId":"k","text":"hi"}',
    error: errorFrame('not_found', 'There is no such space', { id: 1 }),
  },
  {
    what: 'someone else’s space to follow',
    when: 'open',
    frame: '{"type":"subscribe","id":1,"space":"{otherSpace}"}',
    error: errorFrame('forbidden', 'this space is not yours or does not exist', { id: 1 }),
  },
  {
    what: 'someone else’s token to renew with',
    when: 'open',
    frame: '{"type":"auth","id":1,"token":"{otherToken}"}',
    error: errorFrame('forbidden', 'The token belongs to somebody else', { id: 1 }),
  },
  {
    what: 'a forged token to renew with',
    when: 'open',
    frame: '{"type":"auth","id":1,"token":"{forged}"}',
    error: errorFrame('unauthenticated', 'The token is not valid', { id: 1 }),
  },
  {
    what: 'a frame above 1,000,000 bytes',
    when: 'open',
    frame: { head: '{"type":"ping","pad":"', fill: 'x', times: 1_000_000, tail: '"}' },
    close: 4009,
  },
  { what: 'a binary frame', when: 'open', frame: { hex: '01 02 03' }, binary: true, close: 4000 },
  { what: 'invalid UTF-8', when: 'open', frame: { hex: '7b 22 c0 af 22 7d' }, close: 1007 },
];

/** `/ws/{user_id}` */
export const classicFrames: readonly FrameCase[] = [
  {
    what: 'malformed JSON',
    when: 'first',
    frame: '{"type":',
    error: classicError('malformed_json', 'The frame is not valid JSON'),
    close: 4000,
  },
  {
    what: 'another frame before `auth`',
    when: 'first',
    frame: '{"type":"ping"}',
    error: classicError('unauthenticated', 'Send {type: "auth", token} first'),
    close: 4001,
  },
  {
    what: 'someone else’s token',
    when: 'first',
    frame: '{"type":"auth","token":"{otherToken}"}',
    error: classicError('forbidden', 'This socket belongs to somebody else'),
    close: 4003,
  },
  {
    what: 'a first frame above 64 KB',
    when: 'first',
    frame: { head: '{"type":"auth","token":"', fill: 'x', times: 70_000, tail: '"}' },
    close: 4009,
  },
  { what: 'a binary frame', when: 'first', frame: { hex: '00' }, binary: true, close: 4000 },
  {
    what: 'malformed JSON',
    when: 'open',
    frame: 'ping',
    error: classicError('malformed_json', 'The frame is not valid JSON'),
  },
  { what: 'an unknown type', when: 'open', frame: '{"type":"dance"}', error: classicError('unknown_type') },
  {
    what: 'a wrong type',
    when: 'open',
    frame: '{"type":"memory_toggle","enabled":"yes"}',
    error: classicError('invalid_request', 'enabled: Invalid input: expected boolean, received string'),
  },
  {
    what: 'a document whose id is no id',
    when: 'open',
    frame: '{"type":"data_update","data":{"id":"\\u0000","type":"task","data":1,"timestamp":1,"version":1}}',
    error: classicError('invalid_request', 'data.id: must be 1 to 256 printable characters'),
  },
  {
    what: 'a timestamp beyond every clock',
    when: 'open',
    frame: '{"type":"data_update","data":{"id":"x","type":"task","data":1,"timestamp":1e300,"version":1}}',
    error: classicError(
      'invalid_request',
      'data.timestamp: Too big: expected number to be <=9007199254740991',
    ),
  },
  {
    what: 'a `__proto__` key',
    when: 'open',
    frame:
      '{"type":"data_update","data":{"id":"x","type":"task","data":{"__proto__":1},"timestamp":1,"version":1}}',
    error: classicError('invalid_request', 'The key __proto__ is not allowed'),
  },
  {
    what: 'deep nesting',
    when: 'open',
    frame: '{"type":"ping","x":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}',
    error: classicError('invalid_request', 'The frame is nested deeper than 32 levels'),
  },
  {
    what: 'a frame above 1,000,000 bytes',
    when: 'open',
    frame: { head: '{"type":"ping","pad":"', fill: 'x', times: 1_000_000, tail: '"}' },
    close: 4009,
  },
  { what: 'invalid UTF-8', when: 'open', frame: { hex: 'ff' }, close: 1007 },
];
