/** One setting: its type, default, unit and help in one place. */
export interface Setting<T> {
  /** Turns the text of the environment into a value, or throws a sentence saying what was expected. */
  readonly parse: (text: string) => T;
  /** Used when the variable is not set. Without one the setting is required. */
  readonly fallback: T | undefined;
  readonly help: string;
  /** Never printed: passwords, keys. */
  readonly secret: boolean;
  /** What the help page shows as the kind of value, such as `port` or `ms`. */
  readonly kind: string;
  /** Whether the config centre may change it while the process runs; see `live`. */
  readonly live: boolean;
}

/** Environment variable name → setting. */
export type ConfigSchema = Readonly<Record<string, Setting<unknown>>>;

/** The values a schema describes. */
export type ConfigOf<S extends ConfigSchema> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never;
};

/** Every fault of a configuration at once. The process ends with code 78 (EX_CONFIG) before it listens. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(
      `The configuration has ${faults.length} fault(s):\n${faults.map((fault) => `  ${fault}`).join('\n')}`,
    );
    this.faults = faults;
  }
}

interface Options<T> {
  readonly fallback?: T;
  readonly secret?: boolean;
}

const setting = <T>(
  kind: string,
  parse: (text: string) => T,
  help: string,
  options: Options<T>,
): Setting<T> => ({
  kind,
  parse,
  help,
  fallback: options.fallback,
  secret: options.secret ?? false,
  live: false,
});

/**
 * The setting, and it may change while the process runs: whoever uses it reads it from the configuration each time, or
 * is told by `LiveConfig.onChange`. Secrets stay out of the config centre.
 */
export const live = <T>(one: Setting<T>): Setting<T> => {
  if (one.secret) throw new Error('bug: a secret cannot be changed by the config centre');
  return { ...one, live: true };
};

const fail = (expected: string): never => {
  throw new TypeError(expected);
};

/** Free text. */
export const text = (help: string, options: Options<string> = {}): Setting<string> =>
  setting('text', (value) => value, help, options);

/** A secret of at least 32 characters. */
export const secret = (help: string, options: Options<string> = {}): Setting<string> =>
  setting(
    'secret',
    (value) => (value.length >= 32 ? value : fail('must be at least 32 characters long')),
    help,
    { ...options, secret: true },
  );

/** A whole number within bounds; `kind` names its unit. */
export const integer = (
  help: string,
  { min, max, kind = 'number', ...options }: Options<number> & { min: number; max: number; kind?: string },
): Setting<number> =>
  setting(
    kind,
    (value) => {
      const number = /^-?\d+$/.test(value) ? Number(value) : Number.NaN;
      return number >= min && number <= max ? number : fail(`must be a whole number from ${min} to ${max}`);
    },
    help,
    options,
  );

/** A TCP port; 0 lets the system choose. */
export const port = (help: string, options: Options<number> = {}): Setting<number> =>
  integer(help, { min: 0, max: 65_535, kind: 'port', ...options });

/** A span of time in milliseconds. */
export const milliseconds = (
  help: string,
  { min = 0, max = 86_400_000, ...options }: Options<number> & { min?: number; max?: number } = {},
): Setting<number> => integer(help, { min, max, kind: 'ms', ...options });

/** Only web addresses are read whole here: other schemes have lists and files in them, which their adapters read. */
const isBroken = (value: string): boolean => /^https?:/.test(value) && !URL.canParse(value);

/** A URL with one of the given schemes (each with its colon, such as `postgres:`). */
export const url = (
  help: string,
  { schemes, ...options }: Options<string> & { schemes: readonly string[] },
): Setting<string> =>
  setting(
    `url (${schemes.join(', ')})`,
    (value) => {
      if (!schemes.some((scheme) => value.startsWith(scheme)))
        fail(`must start with ${schemes.join(' or ')}`);
      return isBroken(value) ? fail('must be a whole URL') : value;
    },
    help,
    // A URL may carry a password.
    { ...options, secret: true },
  );

/** One of a fixed set. */
export const oneOf = <const T extends string>(
  help: string,
  { values, ...options }: Options<T> & { values: readonly T[] },
): Setting<T> =>
  setting<T>(
    values.join('|'),
    (value) => values.find((known) => known === value) ?? fail(`must be one of ${values.join(', ')}`),
    help,
    options,
  );

/** `true` or `false`. */
export const flag = (help: string, options: Options<boolean> = {}): Setting<boolean> =>
  setting(
    'true|false',
    (value) => (value === 'true' ? true : value === 'false' ? false : fail('must be true or false')),
    help,
    options,
  );

/** Comma-separated texts; empty text is an empty list. */
export const list = (help: string, options: Options<readonly string[]> = {}): Setting<readonly string[]> =>
  setting(
    'list',
    (value) =>
      value
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== ''),
    help,
    options,
  );

/** What is wrong with the text of a setting, as a sentence that shows no secret. */
export const faultOf = (name: string, one: Setting<unknown>, given: string, error: unknown): string => {
  const shown = one.secret ? '' : `, not ${JSON.stringify(given.slice(0, 100))}`;
  return `${name} ${error instanceof Error ? error.message : String(error)}${shown}`;
};

/** The help page of a schema: one line a setting. */
export const describeConfig = (schema: ConfigSchema): string =>
  Object.entries(schema)
    .map(([name, one]) => {
      const fallback =
        one.fallback === undefined
          ? 'required'
          : one.secret
            ? ''
            : `default ${String(one.fallback) || 'empty'}`;
      return `  ${name}  ${one.help} [${[one.kind, fallback, one.live ? 'live' : ''].filter(Boolean).join(', ')}]`;
    })
    .join('\n');
