import { maxIdempotencyKeyLength } from '@skein/rpc';
import type { z } from 'zod';
import { type JsonSchema, schemaBook } from './json-schema.ts';
import type { Repeat, Route } from './route.ts';
import { problem } from './schemas/basics.ts';

type Book = ReturnType<typeof schemaBook>;

/** One OpenAPI parameter a field of the object schema. */
const parameters = (book: Book, schema: z.ZodType | undefined, where: 'path' | 'query') => {
  if (!schema) return [];
  // As handlers get it: a number in a query is written as a number in the document.
  const object = book.schema(schema, 'output') as {
    properties?: Record<string, JsonSchema>;
    required?: readonly string[];
  };
  return Object.entries(object.properties ?? {}).map(([name, { description, ...rest }]) => ({
    name,
    in: where,
    required: where === 'path' || (object.required ?? []).includes(name),
    ...(description === undefined ? {} : { description }),
    schema: rest,
  }));
};

/** What a client that lost an answer needs to know. */
const repeatText: Readonly<Record<Repeat, string>> = {
  key: 'With the same `Idempotency-Key` and body the first answer comes again; another body is 422 `idempotency_mismatch`.',
  harmless: 'Sending it again leaves everything as the first time did; it needs no `Idempotency-Key`.',
  counts: 'Every request has an effect of its own, whatever its `Idempotency-Key`.',
};

const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description: 'Makes sending the request again harmless for 24 hours',
  schema: { type: 'string', minLength: 1, maxLength: maxIdempotencyKeyLength },
};

const success = (book: Book, row: Route) => ({
  description: row.status === 204 ? 'Done' : 'Success',
  ...(row.response || row.responseType
    ? {
        content: {
          [row.responseType ?? 'application/json']: row.response
            ? { schema: book.schema(row.response) }
            : { schema: { type: 'string' } },
        },
      }
    : {}),
});

/** `GET /v1/me/devices` → `getV1MeDevices`. */
const operationId = ({ method, path }: Route): string =>
  method +
  path
    .split(/[^A-Za-z0-9]+/)
    .filter(Boolean)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');

/** Any one of the list signs the call in; an empty object means that nothing has to. */
const securityOf = ({ access, ticket }: Route): Record<string, readonly string[]>[] => {
  if (ticket) return [{ bearer: [] }, { ticket: [] }];
  if (access === 'public') return [];
  return [{ bearer: [] }, ...(access === 'optional' ? [{}] : [])];
};

const operation = (book: Book, row: Route) => ({
  operationId: operationId(row),
  tags: [row.tag],
  summary: row.summary,
  ...(row.repeat === undefined ? {} : { description: repeatText[row.repeat] }),
  parameters: [
    ...parameters(book, row.params, 'path'),
    ...parameters(book, row.query, 'query'),
    ...(row.repeat === 'key' ? [idempotencyKey] : []),
  ],
  ...(row.body
    ? {
        requestBody: {
          required: !row.body.safeParse(undefined).success,
          content: { 'application/json': { schema: book.schema(row.body) } },
        },
      }
    : {}),
  responses: {
    [row.status]: success(book, row),
    default: {
      description: 'A problem',
      content: { 'application/problem+json': { schema: book.schema(problem) } },
    },
  },
  security: securityOf(row),
  ...(['public', 'optional', 'login'].includes(row.access) ? {} : { 'x-scope': row.access }),
});

/** The OpenAPI 3.1 document of the table. */
export const openApi = (routes: readonly Route[], { version, url }: { version: string; url: string }) => {
  const book = schemaBook();
  const paths: Record<string, Record<string, unknown>> = {};
  for (const row of routes) {
    paths[row.path] = { ...paths[row.path], [row.method]: operation(book, row) };
  }
  return {
    openapi: '3.1.1',
    info: { title: 'Skein', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
        ticket: {
          type: 'apiKey',
          in: 'query',
          name: 'ticket',
          description: 'A ticket of POST /v1/auth/tickets; it opens one request',
        },
      },
      schemas: book.components,
    },
  };
};
