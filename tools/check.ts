import { type Outcome, type Step, steps } from './check/steps.ts';

const seconds = (start: number): string => `${((performance.now() - start) / 1000).toFixed(1)} s`;

const perform = async (step: Step): Promise<boolean> => {
  const start = performance.now();
  const outcome = await step.run().catch(
    (error: unknown): Outcome => ({
      ok: false,
      output: `${error instanceof Error ? error.message : error}\n`,
    }),
  );
  const note = outcome.note ? `  (${outcome.note})` : '';
  console.log(`${outcome.ok ? '✓' : '✗'} ${step.name.padEnd(24)} ${seconds(start)}${note}`);
  if (!outcome.ok) console.log(outcome.output.trimEnd().replace(/^/gm, '    '));
  return outcome.ok;
};

const only = process.argv.slice(2);
const wanted = only.length > 0 ? steps.filter(({ name }) => only.includes(name)) : steps;
if (wanted.length === 0)
  throw new Error(`There is no such step; the steps are: ${steps.map((s) => s.name).join(', ')}.`);

const start = performance.now();
let failed = 0;
for (const step of wanted) if (!(await perform(step))) failed++;
console.log(`${wanted.length - failed} of ${wanted.length} checks passed in ${seconds(start)}`);
process.exitCode = failed === 0 ? 0 : 1;
