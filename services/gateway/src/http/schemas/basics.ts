import { z } from 'zod';

/** An opaque id in a path or body. */
export const id = z.string().regex(/^[A-Za-z0-9._:~-]{1,128}$/, 'must be an id');

/** A space's id, or `personal` for one's own. */
export const spaceId = id.describe('Id of the space, or `personal` for one’s own');

/** RFC 3339, UTC, with milliseconds. */
export const time = z.iso
  .datetime({ precision: 3 })
  .meta({ id: 'Time', description: 'RFC 3339, UTC, with milliseconds' });

/** The same moment as `time`. */
export const timeText = (epochMs: number): string => new Date(epochMs).toISOString();

/** A whole number in a query, where everything is text. */
export const queryInteger = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,16}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(min).max(max));

/** What every list takes. */
export const page = z.object({
  limit: queryInteger(1, 200).optional().describe('At most this many; 50 unless said'),
  cursor: z.string().max(4_096).optional().describe('`next` of the page before'),
});

/** A decoded `page` as the services want it. */
export const pageRequest = (query: z.infer<typeof page>): { limit: number; cursor: string } => ({
  limit: query.limit ?? 50,
  cursor: query.cursor ?? '',
});

/** One page of a list; `next` is absent at the end. */
export const listOf = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), next: z.string().optional() });

/** `{items, next?}` from a service's answer. */
export const listAnswer = <F, T>(
  { items, next }: { items: readonly F[]; next?: string },
  encode: (item: F) => T,
): { items: T[]; next?: string } => ({ items: items.map(encode), ...(next ? { next } : {}) });

/** Names of platforms and personas: short, lower case. */
export const slug = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be a short name');

/** What a person calls a device. */
export const deviceName = z
  .string()
  .max(100)
  .regex(/^\P{Cc}*$/u, 'must not contain control characters');

/** Where somebody is connected from. */
export const device = z
  .object({ id, platform: slug, name: deviceName.optional() })
  .meta({ id: 'Device', description: 'One installation of a client' });

/** Any JSON value. */
export const anyJson = z.unknown().describe('Any JSON value');

/** A JSON object of free keys. */
export const freeObject = z.record(z.string(), z.unknown());

/** The body of every error. */
export const problem = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string(),
    detail: z.string(),
    retryable: z.boolean(),
    retryAfterMs: z.int().optional(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    traceId: z.string(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem; facts such as `head` stand beside these members' });
