import { config as agent } from '@skein/agent/config';
import { authConfig as auth } from '@skein/auth/config';
import { allScope } from '@skein/config';
import { config as gateway } from '@skein/gateway/config';
import { type ConfigLayer, type ConfigSchema, faultsOfLayer, type Setting } from '@skein/service-kit';
import { config as sessionSync } from '@skein/session-sync/config';
import { userConfig as user } from '@skein/user/config';

/** What each service reads, by its name. */
const schemas: Readonly<Record<string, ConfigSchema>> = {
  agent,
  auth,
  gateway,
  'session-sync': sessionSync,
  user,
};

/** Whose settings there are. */
export const scopes: readonly string[] = [allScope, ...Object.keys(schemas)];

const schemasOf = (scope: string): readonly ConfigSchema[] => {
  if (scope === allScope) return Object.values(schemas);
  const schema = Object.hasOwn(schemas, scope) ? schemas[scope] : undefined;
  return schema ? [schema] : [];
};

/** What the services would refuse of a layer, each sentence once. */
export const faultsOf = (layer: ConfigLayer): readonly string[] => {
  if (!scopes.includes(layer.scope))
    return [`${layer.scope}: there is no such scope: it is ${scopes.join(', ')}`];
  return [...new Set(schemasOf(layer.scope).flatMap((schema) => faultsOfLayer(schema, layer)))];
};

/** Whether a value may be shown: what no service takes may be a secret that got here by mistake. */
export const isShown = (scope: string, name: string): boolean =>
  schemasOf(scope).some((schema) => {
    const one: Setting<unknown> | undefined = Object.hasOwn(schema, name) ? schema[name] : undefined;
    return one?.live === true;
  });
