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

const runAll = async (wanted: readonly Step[]): Promise<number> => {
  const start = performance.now();
  let failed = 0;
  for (const step of wanted) if (!(await perform(step))) failed++;
  console.log(`${wanted.length - failed} of ${wanted.length} checks passed in ${seconds(start)}`);
  return failed === 0 ? 0 : 1;
};

/** EX_USAGE of sysexits.h, as everywhere here. */
const usage = 64;

const only = process.argv.slice(2);
const names = steps.map(({ name }) => name);
const unknown = only.find((name) => !names.includes(name));
if (unknown === undefined) {
  process.exitCode = await runAll(only.length > 0 ? steps.filter(({ name }) => only.includes(name)) : steps);
} else {
  console.error(`There is no step ${JSON.stringify(unknown)}; the steps are: ${names.join(', ')}.`);
  process.exitCode = usage;
}
