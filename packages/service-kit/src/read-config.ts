import { ConfigError, type ConfigOf, type ConfigSchema, faultOf } from './config.ts';
import { withLive } from './live-config.ts';

/**
 * Reads a schema from the environment, or throws a ConfigError that lists every fault. What is live in it always has
 * the value of now; `liveConfig` tells a config centre how to change it.
 */
export const readConfig = <S extends ConfigSchema>(
  schema: S,
  env: Readonly<Record<string, string | undefined>>,
): ConfigOf<S> => {
  const faults: string[] = [];
  const values: Record<string, unknown> = {};
  const given: string[] = [];
  for (const [name, one] of Object.entries(schema)) {
    const text = env[name];
    if (text === undefined || text === '') {
      if (one.fallback === undefined) faults.push(`${name} is required (${one.kind}): ${one.help}`);
      values[name] = one.fallback;
      continue;
    }
    given.push(name);
    try {
      values[name] = one.parse(text);
    } catch (error) {
      faults.push(faultOf(name, one, text, error));
    }
  }
  if (faults.length > 0) throw new ConfigError(faults);
  return withLive(schema, values, new Set(given)) as ConfigOf<S>;
};
