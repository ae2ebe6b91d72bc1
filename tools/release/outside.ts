import { must } from '../run.ts';

/** Runs a program that pushes, signs or publishes, and gives what it wrote. */
export type Outside = (file: string, ...args: readonly string[]) => Promise<string>;

/** Runs it for real, and shows the command line first. */
export const forReal: Outside = async (file, ...args) => {
  process.stdout.write(`$ ${[file, ...args].join(' ')}\n`);
  return must(file, args);
};

/** Only shows what would be run. */
export const onlyShown: Outside = async (file, ...args) => {
  process.stdout.write(`would run: ${[file, ...args].join(' ')}\n`);
  return '';
};
