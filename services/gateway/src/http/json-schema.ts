import { z } from 'zod';

/** A JSON Schema (draft 2020-12) as it stands in OpenAPI 3.1 and AsyncAPI 3 documents. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Rewrites `#/$defs/X` to where the document keeps its shared schemas. */
const moveRefs = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(moveRefs);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === '$ref' && typeof inner === 'string'
        ? inner.replace('#/$defs/', '#/components/schemas/')
        : moveRefs(inner),
    ]),
  );
};

/**
 * Turns the schemas that validate into JSON Schemas, and keeps what has an `id` in one place: `components` holds
 * them after all were converted.
 */
export const schemaBook = () => {
  const components: Record<string, unknown> = {};
  return {
    components,
    /** `io` says whether the shape is what clients send or what handlers get after conversion of texts. */
    schema: (schema: z.ZodType, io: 'input' | 'output' = 'input'): JsonSchema => {
      const made = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Record<string, unknown>;
      const { $schema: _, $defs = {}, ...rest } = made;
      Object.assign(components, moveRefs($defs));
      return moveRefs(rest) as JsonSchema;
    },
  };
};
