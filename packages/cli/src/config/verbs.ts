import { readFile, writeFile } from 'node:fs/promises';
import { type ConfigStore, readDocument, type Settings, type Snapshot, writeDocument } from '@skein/config';
import { openConfigStore } from '@skein/platform';
import type { Screen } from '../screen.ts';
import { UsageError } from '../usage.ts';
import { faultsOf, isShown } from './schemas.ts';
import { differences, edit, printDifferences, readImport, scopeOf, settingsOf, shown } from './store.ts';

/** What a verb is told. */
export interface ConfigCall {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly screen: Screen;
  readonly args: readonly string[];
  readonly dryRun: boolean;
  readonly json: boolean;
  /** Ends a watch. */
  readonly signal: AbortSignal;
}

const open = async ({ env }: ConfigCall): Promise<ConfigStore> => {
  const url = env['CONFIG_URL'];
  if (!url)
    throw new UsageError('Set CONFIG_URL to the config centre: file:/path or consul://:token@host:port.');
  if (!/^(file|consul):/.test(url)) throw new UsageError('CONFIG_URL must start with file: or consul:.');
  return openConfigStore(url);
};

const entries = ({ documents }: Snapshot) =>
  Object.entries(documents).flatMap(([scope, { settings, fault }]) =>
    fault === undefined ? Object.entries(settings).map(([name, value]) => ({ scope, name, value })) : [],
  );

/** Prints what the centre has; what of it no service takes is said, and makes the answer false. */
const get = async (call: ConfigCall): Promise<boolean> => {
  const [scope, name] = call.args;
  if (scope !== undefined) scopeOf(scope);
  const snapshot = await (await open(call)).read();
  const found = entries(snapshot).filter(
    (one) => (scope === undefined || one.scope === scope) && (name === undefined || one.name === name),
  );
  for (const one of found) {
    const visible = isShown(one.scope, one.name) ? one : { scope: one.scope, name: one.name, hidden: true };
    call.screen.row({ ...visible }, `${one.scope} ${one.name} ${shown(one.scope, one.name, one.value)}`);
  }
  if (found.length === 0) call.screen.say('Nothing is set: the defaults and the environment hold.');
  return sayFaults(call, snapshot);
};

const sayFaults = ({ screen }: ConfigCall, { documents }: Snapshot): boolean => {
  const faults = Object.entries(documents).flatMap(([scope, { settings, fault }]) =>
    faultsOf({ scope, settings, fault }),
  );
  for (const fault of faults) screen.row({ refused: fault }, `not valid, and so not in use: ${fault}`);
  return faults.length === 0;
};

/** A value as it is written: YAML, so that `5` is a number and `[a, b]` a list. */
const readValue = (name: string, text: string): unknown => {
  const { settings, fault } = readDocument(`value: ${text}`);
  if (fault !== undefined || !Object.hasOwn(settings, 'value'))
    throw new UsageError(`The value of ${name} must be YAML or JSON on one line.`);
  return settings['value'];
};

const set = async (call: ConfigCall): Promise<boolean> => {
  const [given, ...pairs] = call.args;
  const scope = scopeOf(given);
  const values = pairs.map((pair): [string, unknown] => {
    const at = pair.indexOf('=');
    if (at < 1) throw new UsageError('Write NAME=VALUE.');
    const name = pair.slice(0, at);
    return [name, readValue(name, pair.slice(at + 1))];
  });
  if (values.length === 0) throw new UsageError('Write one or more NAME=VALUE.');
  const change = (now: Settings) => ({ ...now, ...Object.fromEntries(values) });
  return edit(await open(call), call.screen, { [scope]: change }, call);
};

const unset = async (call: ConfigCall): Promise<boolean> => {
  const [given, ...names] = call.args;
  const scope = scopeOf(given);
  if (names.length === 0) throw new UsageError('Name one or more settings.');
  const change = (now: Settings) =>
    Object.fromEntries(Object.entries(now).filter(([name]) => !names.includes(name)));
  return edit(await open(call), call.screen, { [scope]: change }, call);
};

const importFile = async (call: ConfigCall): Promise<boolean> => {
  const [path] = call.args;
  if (path === undefined) throw new UsageError('Name the file to import.');
  const layers = readImport(await readFile(path, 'utf8'));
  const edits = Object.fromEntries(
    Object.entries(layers).map(([scope, settings]) => [scope, () => settings]),
  );
  return edit(await open(call), call.screen, edits, call);
};

/** Everything valid, as a file that can be imported. What no service takes stays where it is: it may be a secret. */
const exportFile = async (call: ConfigCall): Promise<boolean> => {
  const [path] = call.args;
  const snapshot = await (await open(call)).read();
  const layers = Object.fromEntries(
    Object.keys(snapshot.documents).map((scope) => [
      scope,
      Object.fromEntries(
        Object.entries(settingsOf(snapshot, scope)).filter(([name]) => isShown(scope, name)),
      ),
    ]),
  );
  const isJson = call.json || path?.endsWith('.json');
  const text = isJson ? `${JSON.stringify(layers, null, 2)}\n` : writeDocument(layers);
  if (path === undefined) call.screen.row(layers, text.trimEnd());
  else await writeFile(path, text);
  return true;
};

/** Prints each change as it is made, until the signal. */
const watch = async (call: ConfigCall): Promise<boolean> => {
  const store = await open(call);
  const { signal } = call;
  let known = await store.read();
  call.screen.say(`Watching ${store.place}; Ctrl-C ends it.`);
  while (!signal.aborted) {
    try {
      const next = await store.read({ after: known.revision, waitMs: 55_000, signal });
      for (const scope of new Set([...Object.keys(known.documents), ...Object.keys(next.documents)])) {
        const [before, after] = [known, next].map(({ documents }) => documents[scope]?.settings ?? {});
        printDifferences(call.screen, differences(scope, before ?? {}, after ?? {}));
      }
      if (next.revision !== known.revision) sayFaults(call, next);
      known = next;
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
  return true;
};

/** What can be done with the config centre. */
export const configVerbs: Readonly<Record<string, (call: ConfigCall) => Promise<boolean>>> = {
  get,
  set,
  unset,
  import: importFile,
  export: exportFile,
  watch,
};
