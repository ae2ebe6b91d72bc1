import { type Problem, problem, wrong } from './answers.ts';
import type { Sent } from './bytes.ts';

/** One request by somebody who is signed in (unless said) and the problem that answers it. */
export interface RequestCase {
  readonly what: string;
  readonly method?: 'GET' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly anonymous?: true;
  readonly body?: Sent;
  readonly answer: Problem;
}

const messages = '/v1/spaces/personal/messages';
const message = (more: string): string => `{"clientMessageId":"k","text":"hi"${more}}`;
const document = (data: string): string =>
  `{"user_id":"{me}","platform":"web","event_type":"data_update","data":${data}}`;

/** SSE and poll read the same query. */
const onStreams = (one: Omit<RequestCase, 'method'>): readonly RequestCase[] =>
  ['/v1/stream', '/v1/poll'].map((path) => ({
    ...one,
    method: 'GET' as const,
    what: `${one.what} (${path})`,
    path: path + one.path,
  }));

/** Requests that cannot be read. */
export const unreadableRequests: readonly RequestCase[] = [
  { what: 'malformed JSON', path: messages, body: '{"text": ', answer: problem(400, 'malformed_json') },
  {
    what: 'something behind the JSON',
    path: messages,
    body: `${message('')} x`,
    answer: problem(400, 'malformed_json'),
  },
  {
    what: 'malformed JSON from somebody unknown',
    path: '/v1/auth/login',
    anonymous: true,
    body: '{',
    answer: problem(400, 'malformed_json'),
  },
  {
    what: 'invalid UTF-8',
    path: messages,
    body: { hex: '7b 22 ff fe 22 3a 31 7d' },
    answer: problem(400, 'malformed_json', 'The body is not valid UTF-8'),
  },
  {
    what: 'half of a surrogate pair',
    path: messages,
    body: '{"clientMessageId":"k","text":"hi \\ud83d"}',
    answer: problem(400, 'invalid_request', 'The body holds half of a surrogate pair'),
  },
  {
    what: 'a number beyond a double',
    method: 'PUT',
    path: '/v1/me/preferences',
    body: '{"size":1e400}',
    answer: problem(400, 'invalid_request', 'The body holds a number that is too large'),
  },
  {
    what: 'deep nesting',
    path: messages,
    body: { head: '{"attachments":', fill: '[', times: 400_000, close: ']', tail: '}' },
    answer: problem(400, 'invalid_request', 'The body is nested deeper than 32 levels'),
  },
  {
    what: '33 levels',
    method: 'PUT',
    path: '/v1/me/preferences',
    body: '{"a":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}',
    answer: problem(400, 'invalid_request', 'The body is nested deeper than 32 levels'),
  },
  {
    what: 'a __proto__ key',
    path: messages,
    body: message(',"__proto__":{"admin":true}'),
    answer: problem(400, 'invalid_request', 'The key __proto__ is not allowed'),
  },
  {
    what: 'a __proto__ key, escaped and deep inside',
    path: messages,
    body: message(',"attachments":[{"a":{"\\u005f_proto__":1}}]'),
    answer: problem(400, 'invalid_request', 'The key __proto__ is not allowed'),
  },
  {
    what: 'another content type',
    path: messages,
    headers: { 'content-type': 'text/plain' },
    body: message(''),
    answer: problem(415, 'unsupported_media_type', 'Send application/json'),
  },
  {
    what: 'a compressed body',
    path: messages,
    headers: { 'content-encoding': 'gzip' },
    body: message(''),
    answer: problem(415, 'unsupported_media_type', 'Send the body without a content encoding'),
  },
  {
    what: 'a body above 100 KB',
    method: 'PATCH',
    path: '/v1/me',
    body: { head: '{"displayName":"', fill: 'x', times: 100_000, tail: '"}' },
    answer: problem(413, 'too_large', 'The body is larger than 100000 bytes'),
  },
  {
    what: 'a body above 100 KB from somebody unknown',
    path: '/v1/auth/register',
    anonymous: true,
    body: { head: '{"email":"', fill: 'x', times: 100_000, tail: '"}' },
    answer: problem(413, 'too_large', 'The body is larger than 100000 bytes'),
  },
  {
    what: 'a message body above 1 MB',
    path: messages,
    body: { head: '{"text":"', fill: 'x', times: 1_000_000, tail: '"}' },
    answer: problem(413, 'too_large', 'The body is larger than 1000000 bytes'),
  },
];

/** Requests of the wrong shape. */
export const misshapenRequests: readonly RequestCase[] = [
  {
    what: 'wrong types',
    path: messages,
    body: '{"clientMessageId":7,"text":["hi"],"reply":"yes"}',
    answer: wrong(
      { path: 'clientMessageId', message: 'Invalid input: expected string, received number' },
      { path: 'text', message: 'Invalid input: expected string, received array' },
      { path: 'reply', message: 'Invalid input: expected boolean, received string' },
    ),
  },
  {
    what: 'an array for an object',
    path: messages,
    body: '[]',
    answer: wrong({ path: '', message: 'Invalid input: expected object, received array' }),
  },
  {
    what: 'no body',
    path: messages,
    answer: wrong({ path: '', message: 'Invalid input: expected object, received undefined' }),
  },
  {
    what: 'text above 64 KB',
    path: messages,
    body: { head: '{"clientMessageId":"k","text":"', fill: 'ä', times: 32_769, tail: '"}' },
    answer: wrong({ path: 'text', message: 'must be at most 65536 bytes' }),
  },
  {
    what: 'U+0000 in a text',
    path: messages,
    body: '{"clientMessageId":"k","text":"a\\u0000b"}',
    answer: problem(400, 'invalid_request', 'text must not contain U+0000', {
      errors: [{ path: 'text', message: 'must not contain U+0000' }],
    }),
  },
  {
    what: 'a control character in the name of a device',
    path: '/v1/auth/login',
    anonymous: true,
    body: '{"email":"a@example.test","password":"p","device":{"id":"d","platform":"web","name":"\\u0007"}}',
    answer: wrong({ path: 'device.name', message: 'must not contain control characters' }),
  },
  {
    what: 'a classic document without data',
    path: '/sync/event',
    body: document('{"id":"x","type":"task","timestamp":1,"version":1}'),
    answer: wrong({ path: 'data.data', message: 'Invalid input: expected nonoptional, received undefined' }),
  },
  {
    what: 'a classic timestamp beyond every clock',
    path: '/sync/event',
    body: document('{"id":"x","type":"task","data":1,"timestamp":1e308,"version":1}'),
    answer: wrong({
      path: 'data.timestamp',
      message: 'Too big: expected number to be <=9007199254740991',
    }),
  },
  {
    what: 'a classic event of an unknown type',
    path: '/sync/event',
    body: '{"user_id":"{me}","platform":"web","event_type":"dance","data":{}}',
    answer: wrong({
      path: 'event_type',
      message:
        "Invalid discriminator value. Expected 'persona_change' | 'memory_toggle' | 'platform_register' | 'data_update'",
    }),
  },
  {
    what: 'an id that is a path',
    path: '/v1/spaces/..%2Fadmin/messages',
    body: message(''),
    answer: wrong({ path: 'params.space', message: 'must be an id' }),
  },
  {
    what: 'a path that is no percent-encoding',
    path: '/v1/spaces/%E0%A4%A/messages',
    body: message(''),
    answer: problem(400, 'invalid_request', 'The path is not valid'),
  },
  {
    what: 'a parameter given twice',
    method: 'GET',
    path: '/v1/spaces?limit=1&limit=2',
    answer: wrong({ path: 'query.limit', message: 'must be given once' }),
  },
  {
    what: 'a limit above its bound',
    method: 'GET',
    path: '/v1/spaces?limit=201',
    answer: wrong({ path: 'query.limit', message: 'Too big: expected number to be <=200' }),
  },
  {
    what: 'a cursor of somewhere else',
    method: 'GET',
    path: '/v1/spaces?cursor=zzzz',
    answer: problem(400, 'invalid_request', 'The cursor is not one of ours', {
      errors: [{ path: 'cursor', message: 'not a cursor of this list' }],
    }),
  },
  {
    what: 'an idempotency key with a space',
    path: messages,
    headers: { 'idempotency-key': 'a b' },
    body: message(''),
    answer: wrong({ path: 'Idempotency-Key', message: 'must be 1 to 255 visible ASCII characters' }),
  },
  {
    what: 'an unknown path',
    path: '/v1/nothing',
    body: '{}',
    answer: problem(404, 'not_found', 'There is nothing at this path'),
  },
  {
    what: 'a wrong method',
    method: 'PUT',
    path: messages,
    answer: problem(405, 'method_not_allowed', 'Allowed here: POST'),
  },
  {
    what: 'a part that is reserved',
    method: 'GET',
    path: '/v1/spaces/personal/files/f1',
    answer: problem(501, 'not_implemented', 'This part of the API is not available yet'),
  },
  ...onStreams({
    what: 'no device',
    path: '',
    answer: wrong({ path: 'query.device', message: 'Invalid input: expected string, received undefined' }),
  }),
  ...onStreams({
    what: 'a cursor that is none',
    path: '?device=d&cursor=%21',
    answer: problem(400, 'invalid_request', 'The cursor is not valid'),
  }),
  ...onStreams({
    what: 'positions that are no JSON',
    path: '?device=d&streams=bm9wZQ',
    answer: problem(400, 'invalid_request', 'streams is not base64url of JSON'),
  }),
  ...onStreams({
    what: 'positions of wrong types',
    path: '?device=d&streams=W3sic3BhY2UiOjd9XQ',
    answer: problem(400, 'invalid_request', 'streams is not a list of positions'),
  }),
];

/** Requests for what belongs to somebody else. */
export const foreignRequests: readonly RequestCase[] = [
  ...(
    [
      ['someone else’s space', 'GET', '/v1/spaces/{otherSpace}', undefined],
      ['its log', 'GET', '/v1/spaces/{otherSpace}/events', undefined],
      ['its documents', 'GET', '/v1/spaces/{otherSpace}/documents', undefined],
      ['its conversations', 'GET', '/v1/spaces/{otherSpace}/conversations', undefined],
      ['a message into it', undefined, '/v1/spaces/{otherSpace}/messages', message('')],
      [
        'a mutation in it',
        undefined,
        '/v1/spaces/{otherSpace}/mutations',
        '{"device":"d","mutations":[{"seq":1,"collection":"task","id":"t","baseVersion":0,"ops":[{"op":"set","path":["a"],"value":1}],"hlc":"0189aabbccdd-0000-d"}]}',
      ],
    ] as const
  ).map(([what, method, path, body]) => ({
    what,
    path,
    ...(method ? { method } : {}),
    ...(body ? { body } : {}),
    // The same as for a space that is not there: nobody learns which ids exist.
    answer: problem(404, 'not_found', 'There is no such space'),
  })),
  {
    what: 'a turn that is not there',
    method: 'GET',
    path: '/v1/turns/01a20000-0000-7000-8000-000000000000',
    answer: problem(404, 'not_found', 'There is no such turn.'),
  },
  {
    what: 'someone else’s user_id in a path',
    method: 'GET',
    path: '/user/{other}/session',
    answer: problem(403, 'forbidden', 'user_id is not yours'),
  },
  {
    what: 'someone else’s user_id in a message',
    path: '/message/unified',
    body: '{"user_id":"{other}","platform":"web","content":"hi"}',
    answer: problem(403, 'forbidden', 'user_id is not yours'),
  },
  {
    what: 'someone else’s user_id in an event',
    path: '/sync/event',
    body: '{"user_id":"{other}","platform":"web","event_type":"memory_toggle","data":{"enabled":true}}',
    answer: problem(403, 'forbidden', 'user_id is not yours'),
  },
  {
    what: 'an API token with more rights than its maker',
    path: '/v1/auth/tokens',
    body: '{"name":"x","scopes":["operator"]}',
    answer: problem(403, 'forbidden', 'You may not grant: operator'),
  },
  {
    what: 'a page of another origin',
    method: 'GET',
    path: '/v1/me',
    headers: { origin: 'https://evil.example' },
    answer: problem(403, 'origin_not_allowed'),
  },
  ...onStreams({
    what: 'a page of another origin',
    path: '?device=d',
    headers: { origin: 'null' },
    answer: problem(403, 'origin_not_allowed'),
  }),
  {
    what: 'a wrong password',
    path: '/v1/auth/login',
    anonymous: true,
    body: '{"email":"{otherEmail}","password":"not this one"}',
    answer: problem(401, 'invalid_credentials'),
  },
  {
    what: 'an account that is not there',
    path: '/v1/auth/login',
    anonymous: true,
    body: '{"email":"nobody@example.test","password":"not this one"}',
    answer: problem(401, 'invalid_credentials'),
  },
];
