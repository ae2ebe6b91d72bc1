import { AppError, type FieldError } from '@skein/contracts';
import { defaultPolicy, isCollectionName, type Json, type Policy, shippedPolicies } from '@skein/sync-core';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { z } from 'zod';
import type { Rules, RulesOf } from '../domain/rules.ts';
import { sessionDocument } from '../domain/session.ts';

/** Collections with rules of their own, and bytes of one schema. */
const maxCollections = 1_000;
const schemaBytes = 65_536;
const maxResolvers = 1_000;

const resolver = z.enum(['server', 'client', 'newest', 'larger', 'smaller', 'union', 'manual']);
const fieldKey = z.string().regex(/^(?:\/(?:[^~/]|~[01])*)*$/, 'must be a JSON Pointer');

const policy = z
  .strictObject({
    strategy: z.enum(['server_wins', 'client_wins', 'newest_wins', 'merge', 'manual']),
    deletes: z.enum(['delete_wins', 'edit_wins']),
    resolvers: z
      .record(fieldKey, resolver)
      .refine((all) => Object.keys(all).length <= maxResolvers, `must be at most ${maxResolvers}`)
      .optional(),
    otherwise: resolver.optional(),
    direction: z
      .enum(['both', 'pull'], {
        error: ({ input }) =>
          input === 'push'
            ? 'cannot be push: everybody in a space sees all of it; choose both'
            : 'must be both or pull',
      })
      .optional(),
    retentionDays: z.int().min(1).max(36_500).optional(),
    schema: z
      .record(z.string(), z.json())
      .refine((schema) => Buffer.byteLength(JSON.stringify(schema)) <= schemaBytes, {
        error: `must be at most ${schemaBytes} bytes long`,
      })
      .optional(),
  })
  .refine(({ strategy, resolvers, otherwise }) => strategy === 'merge' || (!resolvers && !otherwise), {
    error: 'resolvers and otherwise belong to the strategy merge',
  });

/** Collection → its rules. `*` is for collections nobody has said anything about. */
const policySet = z
  .record(z.string().refine(isCollectionName, 'must be a name without spaces and slashes'), policy)
  .refine((all) => Object.keys(all).length <= maxCollections, `must be at most ${maxCollections} collections`)
  .refine((all) => !Object.hasOwn(all, sessionDocument.collection), {
    error: 'the session has rules of its own, which stay',
    path: [sessionDocument.collection],
  });

/** The rules of all collections, replaced as a whole while the service runs. */
export interface CollectionPolicies {
  readonly rulesOf: RulesOf;
  /**
   * Takes other rules in the place of those set before; shipped ones stay for collections it does not name. AppError
   * `invalid_request` with everything that is wrong, and then nothing has changed.
   */
  replace(policies: unknown): void;
  /** Collections whose leftovers are not kept for good. */
  retained(): readonly { readonly collection: string; readonly days: number }[];
}

const pointOf = ({ instancePath, keyword, params }: ErrorObject): string =>
  keyword === 'required' ? `${instancePath}/${String(params['missingProperty'])}` : instancePath;

const nameOf = (error: ErrorObject): string => `${error.keyword} ${pointOf(error)}`;

const rulesFrom = (given: Policy): Rules => {
  if (given.schema === undefined) return { policy: given, faultOf: () => undefined };
  // The first fault is enough while documents are as they should be; all of them are asked for only after a change.
  const [first, every] = [false, true].map((allErrors) =>
    new Ajv2020({ allErrors, strict: true, logger: false }).compile(given.schema as object),
  ) as [ValidateFunction, ValidateFunction];
  return {
    policy: given,
    faultOf: (value: Json, before?: Json) => {
      if (first(value)) return undefined;
      const [fault] = first.errors as [ErrorObject];
      if (before === undefined || first(before)) return pointOf(fault);
      every(before);
      const known = new Set(every.errors?.map(nameOf));
      every(value);
      const fresh = every.errors?.find((error) => !known.has(nameOf(error)));
      return fresh && pointOf(fresh);
    },
  };
};

const compiled = (policies: Readonly<Record<string, Policy>>): Map<string, Rules> => {
  const rules = new Map<string, Rules>();
  const errors: FieldError[] = [];
  for (const [collection, one] of Object.entries(policies))
    try {
      rules.set(collection, rulesFrom(one));
    } catch (error) {
      errors.push({
        path: `${collection}.schema`,
        message: error instanceof Error ? error.message : 'is no schema',
      });
    }
  if (errors.length > 0) throw invalid(errors);
  return rules;
};

/** An issue as a field error; of a key that is none, what is wrong with the key. */
const fieldError = (issue: z.core.$ZodIssue): FieldError => ({
  path: issue.path.join('.'),
  message: (issue.code === 'invalid_key' && issue.issues[0]?.message) || issue.message,
});

const invalid = (errors: readonly FieldError[]): AppError =>
  new AppError(
    'invalid_request',
    `The collection policies are not valid: ${errors.map(({ path, message }) => `${path} ${message}`).join('; ')}`,
    { errors },
  );

/** Shipped rules, and those of the operator over them. */
export const collectionPolicies = (own: unknown = {}): CollectionPolicies => {
  const read = (given: unknown): Map<string, Rules> => {
    const parsed = policySet.safeParse(given);
    if (!parsed.success) throw invalid(parsed.error.issues.map(fieldError));
    return compiled({ '*': defaultPolicy, ...shippedPolicies, ...parsed.data });
  };
  let rules = read(own);
  return {
    rulesOf: (collection) => rules.get(collection) ?? (rules.get('*') as Rules),
    replace: (policies) => {
      rules = read(policies);
    },
    retained: () =>
      [...rules].flatMap(
        ([
          collection,
          {
            policy: { retentionDays },
          },
        ]) =>
          retentionDays === undefined || collection === '*' ? [] : [{ collection, days: retentionDays }],
      ),
  };
};

/** The text as it is when it is a JSON object of valid policies; otherwise throws what is wrong with it. */
export const checkPolicies = (json: string): string => {
  collectionPolicies(JSON.parse(json) as unknown);
  return json;
};
