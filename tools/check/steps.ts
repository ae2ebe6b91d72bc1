import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generatedDrift, generatedFolder } from '../generated-code.ts';
import { bin, type Finished, root, run } from '../run.ts';
import { breakingBase } from './breaking-base.ts';

/** How one step ended. `note` goes on the step's line; `output` is shown when it failed. */
export interface Outcome {
  readonly ok: boolean;
  readonly output: string;
  readonly note?: string;
}

/** One thing that `npm run check` looks at. */
export interface Step {
  readonly name: string;
  readonly run: () => Promise<Outcome>;
}

const outcome = ({ code, output }: Finished): Outcome => ({ ok: code === 0, output });

const program = (name: string, command: string, ...args: string[]): Step => ({
  name,
  run: async () => outcome(await run(bin(command), args)),
});

/** Vue files need their own compiler; how is the console's business, so its script is asked for. */
const consoleTypes: Step = {
  name: 'types of the console',
  run: async () => {
    const folder = join(root, 'packages', 'console');
    const manifest: { scripts?: Record<string, string> } = JSON.parse(
      await readFile(join(folder, 'package.json'), 'utf8'),
    );
    const script = manifest.scripts?.['check'];
    if (!script) return { ok: false, output: 'packages/console/package.json has no script "check".\n' };
    const PATH = `${join(folder, 'node_modules', '.bin')}:${process.env['PATH']}`;
    return outcome(await run('/usr/bin/env', [`PATH=${PATH}`, 'sh', '-c', script], folder));
  },
};

const breaking: Step = {
  name: 'protos break no client',
  run: async () => {
    const base = await breakingBase();
    if (!base)
      return {
        ok: true,
        output: '',
        note: 'skipped: there is no earlier commit with protos to compare with',
      };
    const compared = await run(bin('buf'), ['breaking', '--against', `.git#ref=${base}`]);
    return { ...outcome(compared), note: `against ${base.slice(0, 12)}` };
  },
};

const drift: Step = {
  name: 'generated code',
  run: async () => {
    const found = await generatedDrift();
    const lines = found.map((difference) => `${generatedFolder}/${difference}: run "npm run generate"\n`);
    return { ok: found.length === 0, output: lines.join('') };
  },
};

const referencePages: Step = {
  name: 'reference pages',
  run: async () => outcome(await run(process.execPath, ['tools/reference/main.ts', 'check'])),
};

/** Everything `npm run check` looks at, quick and frequent faults first. */
export const steps: readonly Step[] = [
  program('format and lint', 'biome', 'check', '--error-on-warnings'),
  program('types', 'tsc', '--noEmit', '--project', 'tsconfig.json'),
  consoleTypes,
  program('unused code', 'knip', '--no-progress', '--no-config-hints'),
  program(
    'layers',
    'depcruise',
    '--config',
    '.dependency-cruiser.mjs',
    'packages',
    'services',
    'test',
    'tools',
  ),
  program('protos', 'buf', 'lint'),
  breaking,
  drift,
  referencePages,
];
