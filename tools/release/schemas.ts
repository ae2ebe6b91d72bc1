import { type Migration, oldestServed } from '../../packages/postgres/src/index.ts';
import { migrations as agent } from '../../services/agent/src/adapters/migrations.ts';
import { migrations as auth } from '../../services/auth/src/adapters/migrations.ts';
import { migrations as sessionSync } from '../../services/session-sync/src/adapters/schema.ts';
import { migrations as user } from '../../services/user/src/adapters/migrations.ts';

/** A service with a schema → the steps of it. */
export type Schemas = Readonly<Record<string, readonly Migration[]>>;

/** The schemas of this version. */
export const schemas: Schemas = { auth, user, 'session-sync': sessionSync, agent };

/** The page of the reference that states them: what a release leaves for the next one to compare with. */
export const schemasFile = 'docs/reference/schemas.md';

/** The version of each schema, read from that page as it was. */
export const versionsOn = (page: string): ReadonlyMap<string, number> => {
  const versions = new Map<string, number>();
  for (const [, name = '', version] of page.matchAll(/^\| `([^`]+)` \| (\d+) \|/gm))
    versions.set(name, Math.max(versions.get(name) ?? 0, Number(version)));
  return versions;
};

/**
 * What stands against a release: steps since `release` (with `before`, the versions it had) that do not serve its
 * code. A rollback to it would be refused, and its processes would fail while the new ones start.
 */
export const schemaFaults = (
  release: string,
  before: ReadonlyMap<string, number>,
  now: Schemas = schemas,
): string[] =>
  Object.entries(now).flatMap(([name, steps]) => {
    const old = before.get(name);
    if (old === undefined) return [];
    if (steps.length < old)
      return [
        `schema ${name} had ${old} steps in ${release} and has ${steps.length}: steps are never taken back`,
      ];
    const serves = oldestServed(steps.slice(old));
    if (serves <= old) return [];
    return [
      `schema ${name} had version ${old} in ${release}, and its steps since then serve programs from version ${serves} on, so nobody could roll back: say "serves: ${old}" in each step that the code of ${release} works with, and leave the others to the release after this one`,
    ];
  });
