import { schemas } from '../release/schemas.ts';
import { cell, code, page, table } from './markdown.ts';

/** Every step of every schema, and the oldest code that works after it. */
export const schemasPage = (): string =>
  page(
    'Schemas',
    'the migrations of each service',
    `Each service keeps its data in a schema of its own and brings it up to date when it starts. The version of a schema
is its newest step; a service of version 4 knows four steps. A service starts on a newer schema as long as that *serves*
it: at least the version before. The check before an upgrade or rollback says so beforehand, and refuses to leave out a
release whose processes would fail meanwhile. A release contains no step that does not serve the release before.`,
    table(
      ['schema', 'version', 'serves from', 'step'],
      Object.entries(schemas).flatMap(([name, steps]) =>
        steps.map(({ version, name: step, serves = version - 1 }) => [
          code(name),
          String(version),
          String(serves),
          cell(step),
        ]),
      ),
    ),
  );
