#!/usr/bin/env node
import { AppError } from '@skein/contracts';
import { runCommand } from './command.ts';
import { help, UsageError } from './usage.ts';

/** sysexits.h: the command line cannot be used. */
const exitUsage = 64;

const ending = new AbortController();
process.once('SIGINT', () => ending.abort());

try {
  const fine = await runCommand(process.argv.slice(2), {
    env: process.env,
    write: (line) => process.stdout.write(`${line}\n`),
    signal: ending.signal,
  });
  process.exitCode = fine ? 0 : 1;
} catch (error) {
  const sentence =
    error instanceof AppError ? error.detail : error instanceof Error ? error.message : String(error);
  process.stderr.write(`${sentence}\n${error instanceof UsageError ? `\n${help}` : ''}`);
  process.exitCode = error instanceof UsageError ? exitUsage : 1;
}
