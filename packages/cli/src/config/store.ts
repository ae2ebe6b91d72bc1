import { setTimeout as delay } from 'node:timers/promises';
import { type Change, type ConfigStore, readDocument, type Settings, type Snapshot } from '@skein/config';
import type { Screen } from '../screen.ts';
import { UsageError } from '../usage.ts';
import { faultsOf, isShown, scopes } from './schemas.ts';

/** How often a change is made again over somebody else's that came in between. */
const attempts = 8;
const pauseMs = 50;

/** One setting as it is, or as it would be. */
export interface Difference {
  readonly scope: string;
  readonly name: string;
  readonly before?: unknown;
  readonly after?: unknown;
}

/** What a scope has now. Rejects when its document cannot be read. */
export const settingsOf = ({ documents }: Snapshot, scope: string): Settings => {
  const document = Object.hasOwn(documents, scope) ? documents[scope] : undefined;
  if (document?.fault !== undefined) throw new Error(`${scope}: ${document.fault}: mend it by hand first`);
  return document?.settings ?? {};
};

/** The scope somebody named. */
export const scopeOf = (text: string | undefined): string => {
  if (text === undefined || !scopes.includes(text))
    throw new UsageError(`Name a scope: ${scopes.join(', ')}.`);
  return text;
};

/** A value as people see it; what may be a secret is not shown. */
export const shown = (scope: string, name: string, value: unknown): string => {
  if (!isShown(scope, name)) return '(hidden: no service takes it from here)';
  return typeof value === 'string' ? value : JSON.stringify(value);
};

/** The settings in which two sets differ. */
export const differences = (scope: string, before: Settings, after: Settings): readonly Difference[] =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])].sort().flatMap((name) => {
    const [was, is] = [before, after].map((settings) =>
      Object.hasOwn(settings, name) ? settings[name] : undefined,
    );
    if (JSON.stringify(was) === JSON.stringify(is)) return [];
    return [
      {
        scope,
        name,
        ...(was === undefined ? {} : { before: was }),
        ...(is === undefined ? {} : { after: is }),
      },
    ];
  });

/** Prints differences: what goes with `-`, what comes with `+`. */
export const printDifferences = (screen: Screen, all: readonly Difference[]): void => {
  for (const one of all) {
    const { scope, name } = one;
    const visible = isShown(scope, name) ? one : { scope, name, hidden: true };
    const line = (sign: string, value: unknown) =>
      value === undefined ? [] : [`${sign} ${scope} ${name} ${shown(scope, name, value)}`];
    screen.row({ ...visible }, [...line('-', one.before), ...line('+', one.after)].join('\n'));
  }
};

/** Scope → what its settings are to become, from what they are. */
export type Edits = Readonly<Record<string, (now: Settings) => Settings>>;

/**
 * Changes what a store has: checked by every service's schema, all of it or none, and never over a change that was not
 * seen: the edits are made again on what somebody else has written meanwhile. False when something is refused.
 */
export const edit = async (
  store: ConfigStore,
  screen: Screen,
  edits: Edits,
  { dryRun }: { readonly dryRun: boolean },
): Promise<boolean> => {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    if (attempt > 0) await delay(pauseMs * attempt * (0.5 + Math.random()));
    const snapshot = await store.read();
    const planned = Object.entries(edits).map(([scope, change]) => {
      const before = settingsOf(snapshot, scope);
      const after = change(before);
      return { scope, settings: after, differences: differences(scope, before, after) };
    });
    const faults = planned.flatMap((layer) => faultsOf(layer));
    if (faults.length > 0)
      throw new Error(`Nothing was changed:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
    const found = planned.flatMap((one) => one.differences);
    const changes = planned
      .filter((one) => one.differences.length > 0)
      .map(
        ({ scope, settings }): Change => ({
          scope,
          settings,
          seen: snapshot.documents[scope]?.revision ?? '',
        }),
      );
    if (dryRun || changes.length === 0 || (await store.write(changes))) {
      printDifferences(screen, found);
      screen.say(
        found.length === 0
          ? 'Nothing to change.'
          : dryRun
            ? `${found.length} setting(s) would change in ${store.place}.`
            : `${found.length} setting(s) changed in ${store.place}; running services have them within a second.`,
      );
      return true;
    }
  }
  throw new Error('Somebody else changes the same settings at the moment. Nothing was changed: try again.');
};

/** A file of settings by scope. */
export const readImport = (text: string): Readonly<Record<string, Settings>> => {
  const { settings, fault } = readDocument(text);
  if (fault !== undefined) throw new Error(`The file ${fault}.`);
  const faults: string[] = [];
  const layers = Object.entries(settings).map(([scope, own]): [string, Settings] => {
    const given = own ?? {};
    if (typeof given !== 'object' || Array.isArray(given))
      faults.push(`${scope} must be a mapping of settings`);
    else if (!scopes.includes(scope)) faults.push(...faultsOf({ scope, settings: {} }));
    return [scope, given as Settings];
  });
  if (faults.length > 0) throw new Error(`Nothing was changed:\n${faults.map((f) => `  ${f}`).join('\n')}`);
  return Object.fromEntries(layers);
};
