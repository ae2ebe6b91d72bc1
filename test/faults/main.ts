// npm run faults: breaks everything at random under load, and checks what clients saw.
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { faultPage, writeSection } from '../bench/report-section.ts';
import { printed } from '../load/summary.ts';
import { campaign, drawn } from './campaign.ts';
import { faultKinds } from './kinds.ts';
import { usualLoad } from './load.ts';
import { help, readFaultsOptions, UsageError } from './options.ts';
import { section } from './report.ts';
import { faultyStack } from './stack.ts';

const shownViolations = 50;

const main = async (): Promise<void> => {
  const options = readFaultsOptions(process.argv.slice(2));
  if (!options) return void process.stdout.write(help);
  const { minutes, seed, json, write } = options;
  const startedMs = Date.now();
  const told = (line: string) =>
    process.stderr.write(`${((Date.now() - startedMs) / 1_000).toFixed(1).padStart(7)} s  ${line}\n`);
  await using stack = await faultyStack();
  told(`the mesh runs; seed ${seed}`);
  let endMs = Number.POSITIVE_INFINITY;
  const report = await campaign(stack, {
    ...{ seed, load: usualLoad, told },
    next: (random) => {
      if (endMs === Number.POSITIVE_INFINITY) endMs = Date.now() + minutes * 60_000;
      return Date.now() < endMs ? drawn(random, faultKinds) : undefined;
    },
  });
  const { summary, violations, excerpt } = report;
  if (json) process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
  else process.stdout.write(`${section(report, usualLoad)}\n\n${printed(summary)}\n`);
  if (write) await writeSection('campaign', section(report, usualLoad), faultPage);
  if (violations.length === 0) return;
  process.exitCode = 1;
  const file = join(tmpdir(), `skein-faults-${seed}.json`);
  await writeFile(file, JSON.stringify({ ...report, logs: stack.logs }, undefined, 1));
  const lines = [
    `${violations.length} promises were broken; again: npm run faults -- --minutes ${minutes} --seed ${seed}`,
    ...violations.slice(0, shownViolations),
    ...excerpt,
    `The whole report, with what the processes logged: ${file}`,
  ];
  process.stderr.write(`${lines.join('\n')}\n`);
};

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof UsageError ? `${error.message}\n\n${help}` : String(error)}\n`);
  process.exitCode = error instanceof UsageError ? 64 : 1;
}
// Whatever is left of thousands of broken connections must not keep a finished run alive.
process.exit();
