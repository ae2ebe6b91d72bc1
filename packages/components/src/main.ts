import { catalogue, componentNamed, isComponentName } from './catalogue.ts';
import { provideComponents } from './provide.ts';

const help = `npm run components [-- NAME...]

Gets the real programs that "npm test" and "npm start -- --mesh" run against: ${catalogue.map((c) => `${c.name} ${c.version}`).join(', ')}.
Each is taken from its variable (${catalogue.map((c) => c.variable).join(', ')}), from PATH when the version fits,
from the cache ($SKEIN_CACHE, else the user's cache directory), or built into the cache. Prints where each one is.
`;

const names = process.argv.slice(2);
const unknown = names.filter((name) => name !== '--help' && !isComponentName(name));
const line = (text: string) => process.stdout.write(`${text}\n`);

if (names.includes('--help')) {
  process.stdout.write(help);
} else if (unknown.length > 0) {
  process.stderr.write(`There is no component ${unknown.join(', ')}.\n\n${help}`);
  process.exitCode = 2;
} else {
  const wanted = names.length > 0 ? names.filter(isComponentName).map(componentNamed) : catalogue;
  try {
    await provideComponents(wanted, line);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
