import { type ConfigSchema, faultOf, type Setting } from './config.ts';

/** Settings as somebody wrote them in one document of the config centre. */
export interface ConfigLayer {
  /** Whose settings they are: a service's name, or `all`. */
  readonly scope: string;
  /** Variable name → its text, number, switch, list or object. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Why the document cannot be read; what it said before then stays. */
  readonly fault?: string | undefined;
}

/** What a setting is now, and by whom. */
export interface SettingState {
  readonly name: string;
  /** As text; `hidden` for secrets. */
  readonly value: string;
  /** `default`, `environment`, or the scope of the config centre it came from. */
  readonly source: string;
  /** The scope whose value does not hold because the environment has one. */
  readonly overridden?: string;
  readonly live: boolean;
}

/** How a configuration changes while the process runs. */
export interface LiveConfig<C> {
  /**
   * Takes what the config centre says now in the place of what it said before; the strongest layer first. A value that
   * is not valid is not taken: the setting stays as it is, and `faults` says why. The environment wins over all layers.
   * Returns the names of the settings that have another value now.
   */
  take(layers: readonly ConfigLayer[]): readonly string[];
  /** What of the layers taken last was refused, a sentence each. */
  readonly faults: readonly string[];
  /** Calls back with each new value of a live setting. Returns the way to stop. */
  onChange<K extends keyof C & string>(name: K, listener: (value: C[K]) => void): () => void;
  /** Every setting with its value and where it came from. */
  states(): readonly SettingState[];
}

/** Finds the way to change a configuration, without being one of its settings. */
const key = Symbol('live configuration');

type Listener = (value: unknown) => void;

const isScalar = (value: unknown): value is string | number | boolean =>
  ['string', 'number', 'boolean'].includes(typeof value);

/** A value of a document as the text it would be in the environment. */
const textOf = (value: unknown): string => {
  if (isScalar(value)) return String(value);
  if (Array.isArray(value) && value.every(isScalar)) return value.join(',');
  if (typeof value === 'object' && value !== null) return JSON.stringify(value);
  throw new TypeError('has no value');
};

const reading = (name: string, one: Setting<unknown>, given: unknown) => {
  let text = '';
  try {
    text = textOf(given);
    return { value: one.parse(text) };
  } catch (error) {
    return { fault: faultOf(name, one, text, error) };
  }
};

const settingOf = (schema: ConfigSchema, name: string): Setting<unknown> | undefined =>
  Object.hasOwn(schema, name) ? schema[name] : undefined;

/** What no process with this schema would take of a layer, a sentence each. No value that may be a secret is shown. */
export const faultsOfLayer = (
  schema: ConfigSchema,
  { scope, settings, fault }: ConfigLayer,
): readonly string[] => {
  if (fault !== undefined) return [`${scope}: ${fault}`];
  return Object.entries(settings).flatMap(([name, given]) => {
    const one = settingOf(schema, name);
    if (!one) return [`${scope}: ${JSON.stringify(name.slice(0, 100))} is not one of its settings`];
    if (!one.live)
      return [`${scope}: ${name} is read when the process starts: set it in the environment and restart`];
    const read = reading(name, one, given);
    return read.fault === undefined ? [] : [`${scope}: ${read.fault}`];
  });
};

const shownOf = ({ secret }: Setting<unknown>, value: unknown): string =>
  secret && value !== '' ? 'hidden' : String(value);

/** What has been set where: a value with its source. */
interface Held {
  readonly value: unknown;
  readonly source: string;
}

const open = (schema: ConfigSchema, held: Map<string, Held>): LiveConfig<Record<string, unknown>> => {
  const listeners = new Map<string, Set<Listener>>();
  let layers: readonly ConfigLayer[] = [];
  let faults: readonly string[] = [];

  /** What holds by these layers; undefined: what holds now stays. */
  const heldBy = (name: string, one: Setting<unknown>): Held | undefined => {
    for (const { scope, settings, fault } of layers) {
      if (fault !== undefined) return undefined;
      if (!Object.hasOwn(settings, name)) continue;
      const read = reading(name, one, settings[name]);
      return read.fault === undefined ? { value: read.value, source: scope } : undefined;
    }
    return { value: one.fallback, source: 'default' };
  };
  const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

  return {
    get faults() {
      return faults;
    },
    take: (given) => {
      layers = given;
      const refused = layers.flatMap((layer) => faultsOfLayer(schema, layer));
      const changed: string[] = [];
      for (const [name, one] of Object.entries(schema)) {
        const now = held.get(name);
        if (!one.live || now?.source === 'environment') continue;
        const next = heldBy(name, one);
        if (!next) continue;
        held.set(name, next);
        if (!isSame(now?.value, next.value)) changed.push(name);
      }
      // All values first: a listener may read several.
      for (const name of changed)
        for (const listener of listeners.get(name) ?? [])
          try {
            listener(held.get(name)?.value);
          } catch (error) {
            refused.push(`${name} could not be put to use: ${String(error)}`);
          }
      faults = refused;
      return changed;
    },
    onChange: (name, listener) => {
      const told = listeners.get(name) ?? new Set();
      listeners.set(name, told.add(listener));
      return () => void told.delete(listener);
    },
    states: () =>
      Object.entries(schema).map(([name, one]) => {
        const { value, source } = held.get(name) as Held;
        const overridden =
          source === 'environment' && one.live
            ? layers.find(({ settings }) => Object.hasOwn(settings, name))?.scope
            : undefined;
        return {
          ...{ name, value: shownOf(one, value), source, live: one.live },
          ...(overridden === undefined ? {} : { overridden }),
        };
      }),
  };
};

/** The values as a configuration whose live settings are read anew each time. `given` names those of the environment. */
export const withLive = (
  schema: ConfigSchema,
  values: Readonly<Record<string, unknown>>,
  given: ReadonlySet<string>,
): object => {
  const held = new Map<string, Held>(
    Object.entries(values).map(([name, value]) => [
      name,
      { value, source: given.has(name) ? 'environment' : 'default' },
    ]),
  );
  const config = {};
  for (const [name, one] of Object.entries(schema))
    Object.defineProperty(
      config,
      name,
      one.live
        ? { enumerable: true, get: () => held.get(name)?.value }
        : { enumerable: true, value: values[name] },
    );
  // Not enumerable: a copy with other values is no longer the configuration that changes.
  return Object.defineProperty(config, key, { value: open(schema, held) });
};

/** Of a configuration put together by hand, such as in a test. */
const fixed: LiveConfig<Record<string, unknown>> = {
  take: () => [],
  faults: [],
  onChange: () => () => {},
  states: () => [],
};

/** The way to change a configuration that `readConfig` gave; any other stays as it is. */
export const liveConfig = <C extends object>(config: C): LiveConfig<C> =>
  ((config as { readonly [key]?: LiveConfig<C> })[key] ?? fixed) as LiveConfig<C>;
