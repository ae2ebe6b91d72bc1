import type { Code } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import { z } from 'zod';

export { stepOfKey } from './step-key.ts';

/** What the journal can keep: a value that is the same after a trip through JSON. */
export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

/** `compensatable* pivot? retriable*`: what may be taken back, the point of no return, what must succeed in the end. */
export type StepKind = 'compensatable' | 'pivot' | 'retriable';

/** How often a step is tried before it counts as given up. */
export interface RetryPolicy {
  /** Attempts one right after the other. Default 3. */
  readonly immediate: number;
  /** Attempts in all, the later ones after a wait with full jitter. Default 8. Compensations are tried for ever. */
  readonly attempts: number;
  /** Upper bound of the first wait. Default 1 s. */
  readonly baseMs: number;
  /** Upper bound of every wait. Default 60 s. */
  readonly capMs: number;
}

/** Defaults of a step. */
export const stepDefaults = {
  timeoutMs: 10_000,
  retry: { immediate: 3, attempts: 8, baseMs: 1_000, capMs: 60_000 } satisfies RetryPolicy,
} as const;

/** What an attempt knows. */
export interface StepContext<Input = unknown, Results = unknown> {
  readonly sagaId: string;
  readonly input: Input;
  /** The outputs of the steps before this one, by name. */
  readonly results: Results;
  /** `saga:step:direction`, the same in every attempt: what the participant recognises a repetition by. */
  readonly key: string;
  /** From 1. */
  readonly attempt: number;
  /** Aborts when the attempt's time is up, the saga was taken over, or the process stops. */
  readonly signal: AbortSignal;
  /** For calls to participants: deadline, signal, correlation, and `key` as the idempotency key. */
  readonly call: CallContext;
}

/** What an attempt to take a step back knows. */
export interface CompensationContext<Input = unknown, Results = unknown, Output = unknown>
  extends StepContext<Input, Results> {
  /** What the step gave; undefined when it is not known whether it happened. */
  readonly output: Output | undefined;
}

interface StepOptions {
  /**
   * Longest attempt; a function is asked as each one begins. What comes later is not known to have failed: it is tried
   * again with the same key. Default 10 s.
   */
  readonly timeoutMs?: number | (() => number);
  readonly retry?: Partial<RetryPolicy>;
}

/** What an action gives: its output, or nothing where the step has none. */
type Outcome<Output> = [Output] extends [undefined] ? Promise<unknown> : Promise<NoInfer<Output>>;

interface ActingOptions<Input, Results, Output> extends StepOptions {
  /** What the step gives later ones, and the journal keeps: only the fields it names, 64 KiB at most, no secrets. */
  readonly output?: z.ZodType<Output>;
  /** May run more than once, always with the same key. */
  readonly action: (ctx: StepContext<Input, Results>) => Outcome<Output>;
}

interface RefusableOptions<Input, Results, Output> extends ActingOptions<Input, Results, Output> {
  /** Codes of an `AppError` by which the participant refuses for good, having done nothing: no further attempt. */
  readonly refuseOn?: readonly Code[];
}

/** A step that can be taken back. */
export interface CompensatableOptions<Input, Results, Output>
  extends RefusableOptions<Input, Results, Output> {
  /** Takes the action back, also one that never came or comes later. Tried for ever: it must succeed in the end. */
  readonly compensate: (ctx: CompensationContext<Input, Results, NoInfer<Output>>) => Promise<void>;
  /** After the last attempt: take everything back (default), or wait for an operator. */
  readonly onGivenUp?: 'compensate' | 'park';
}

/** The point of no return. After its last attempt the saga waits for an operator: whether it happened is not known. */
export type PivotOptions<Input, Results, Output> = RefusableOptions<Input, Results, Output>;

/** A step that cannot be refused, so it is only ever tried again; after its last attempt it waits for an operator. */
export type RetriableOptions<Input, Results, Output> = ActingOptions<Input, Results, Output>;

/** A step as the orchestrator sees it. */
export interface Step {
  readonly name: string;
  readonly kind: StepKind;
  readonly output: z.ZodType<unknown> | undefined;
  readonly action: (ctx: StepContext) => Promise<unknown>;
  readonly compensate: ((ctx: CompensationContext) => Promise<void>) | undefined;
  readonly retry: RetryPolicy;
  readonly timeoutMs: number | (() => number);
  readonly refuseOn: readonly Code[];
  readonly onGivenUp: 'compensate' | 'park';
}

/** What a saga is, as data. `Results` are the outputs of its steps by name. */
export interface SagaDefinition<in Input = never, out Results = unknown> {
  readonly name: string;
  /** Raised with every change of steps; a running saga stays with the version it started with. */
  readonly version: number;
  readonly input: z.ZodType<unknown>;
  /** What no two sagas may touch at once, such as `user:42`. */
  readonly locks: (input: Input) => readonly string[];
  /** Who finds a lock taken waits in line, or is refused with `conflict`. */
  readonly onLocked: 'queue' | 'fail';
  readonly steps: readonly Step[];
  /** Only for the compiler: what the steps give. */
  readonly results?: Results;
}

type NewName<Name extends string, Results> = Name extends keyof Results ? never : Name;
type Given = Json | undefined;
type With<Results, Name extends string, Output> = Results & { readonly [K in Name]: Output };

/** A definition that can only go on with steps that must succeed in the end. */
export interface AfterPivot<Input, Results> extends SagaDefinition<Input, Results> {
  retriable<const Name extends string, Output extends Given = undefined>(
    name: NewName<Name, Results>,
    options: RetriableOptions<Input, Results, Output>,
  ): AfterPivot<Input, With<Results, Name, Output>>;
}

/** A definition that can go on with any kind of step. */
export interface BeforePivot<Input, Results> extends AfterPivot<Input, Results> {
  compensatable<const Name extends string, Output extends Given = undefined>(
    name: NewName<Name, Results>,
    options: CompensatableOptions<Input, Results, Output>,
  ): BeforePivot<Input, With<Results, Name, Output>>;
  pivot<const Name extends string, Output extends Given = undefined>(
    name: NewName<Name, Results>,
    options: PivotOptions<Input, Results, Output>,
  ): AfterPivot<Input, With<Results, Name, Output>>;
}

/** The head of a definition. */
export interface SagaOptions<Input> {
  /** Kebab case, for ever: running sagas and metrics know it. */
  readonly name: string;
  readonly version: number;
  /** What it is started with: ids and facts, only the named fields are kept, 64 KiB at most, no secrets. */
  readonly input: z.ZodType<Input>;
  readonly locks?: (input: Input) => readonly string[];
  readonly onLocked?: 'queue' | 'fail';
}

/** More would be several sagas. */
export const maxSteps = 64;

/** Fields that have no place in a journal that operators read and backups keep. Ids and numbers of them are harmless. */
const secretName = /pass(word|phrase)|secret|credential|authorization|cookie|token|(api|private)_?key/i;
const harmlessName = /(Id|_id|Ids|_ids)$/;
const harmlessTypes: ReadonlySet<unknown> = new Set(['number', 'integer', 'boolean']);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

/** Names of fields that may hold a secret, anywhere in a JSON Schema. */
const secretFields = (schema: unknown): string[] => {
  if (!isObject(schema)) return [];
  const { properties } = schema;
  const here = Object.entries(isObject(properties) ? properties : {})
    .filter(([, value]) => !(isObject(value) && harmlessTypes.has(value['type'])))
    .map(([name]) => name)
    .filter((name) => secretName.test(name) && !harmlessName.test(name));
  return [...here, ...Object.values(schema).flatMap(secretFields)];
};

const checkSchema = (schema: z.ZodType<unknown>, where: string): void => {
  const shape = z.toJSONSchema(schema, { unrepresentable: 'any', io: 'output' });
  const [secret] = secretFields(shape);
  if (secret !== undefined)
    throw new Error(`${where} has the field "${secret}": the journal keeps no secrets, pass an id instead`);
};

const kebabCase = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
const camelCase = /^[a-z][A-Za-z0-9]{0,63}$/;

interface AnyOptions extends StepOptions {
  readonly output?: z.ZodType<unknown>;
  readonly action: unknown;
  readonly compensate?: unknown;
  readonly refuseOn?: readonly Code[];
  readonly onGivenUp?: 'compensate' | 'park';
}

const stepOf = (saga: string, kind: StepKind, name: string, options: AnyOptions): Step => {
  const where = `step "${name}" of saga "${saga}"`;
  if (!camelCase.test(name)) throw new Error(`${where}: a step's name is camel case, 64 characters at most`);
  if (options.output) checkSchema(options.output, where);
  return {
    name,
    kind,
    output: options.output,
    action: options.action as Step['action'],
    compensate: options.compensate as Step['compensate'],
    retry: { ...stepDefaults.retry, ...options.retry },
    timeoutMs: options.timeoutMs ?? stepDefaults.timeoutMs,
    refuseOn: options.refuseOn ?? [],
    onGivenUp: kind === 'compensatable' ? (options.onGivenUp ?? 'compensate') : 'park',
  };
};

/**
 * Begins a definition; each call of `compensatable`, `pivot` or `retriable` gives a new one with that step at its
 * end. A wrong order does not compile. Throws for names, fields and numbers of steps that cannot be.
 */
export const defineSaga = <Input extends Json>(options: SagaOptions<Input>): BeforePivot<Input, unknown> => {
  const { name, version, input, locks = () => [], onLocked = 'queue' } = options;
  if (!kebabCase.test(name) || name.length > 64)
    throw new Error(`saga "${name}": its name is kebab case, 64 characters at most`);
  if (!Number.isInteger(version) || version < 1)
    throw new Error(`saga "${name}": its version is 1 or more, not ${version}`);
  checkSchema(input, `the input of saga "${name}"`);

  const withSteps = (steps: readonly Step[]): BeforePivot<Input, unknown> => {
    const add = (kind: StepKind) => (step: string, given: AnyOptions) => {
      if (steps.some((other) => other.name === step))
        throw new Error(`saga "${name}" has two steps "${step}"`);
      if (steps.length >= maxSteps) throw new Error(`saga "${name}" has more than ${maxSteps} steps`);
      return withSteps([...steps, stepOf(name, kind, step, given)]);
    };
    const passed = steps.some(({ kind }) => kind !== 'compensatable');
    // What the types forbid is not there either.
    const adders = passed
      ? { retriable: add('retriable') }
      : { compensatable: add('compensatable'), pivot: add('pivot'), retriable: add('retriable') };
    const definition = { name, version, input, locks, onLocked, steps, ...adders };
    return definition as unknown as BeforePivot<Input, unknown>;
  };
  return withSteps([]);
};
