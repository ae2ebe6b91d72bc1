import { beforeAll, beforeEach } from 'vitest';
import { diagnosis } from './diagnosis.ts';
import { ensureInstalled, type Stack } from './stack.ts';

/** Making a stack from nothing, with all that is waited for. */
const installMs = 15 * 60_000;

/** The tests of a file need this stack: it is installed when it is not, and a test that fails says how its pods are. */
export const useStack = (stack: Stack): void => {
  beforeAll(() => ensureInstalled(stack), installMs);
  beforeEach(({ onTestFailed }) => {
    onTestFailed(async () => {
      process.stderr.write(await diagnosis(stack.platform, stack.namespace));
    });
  });
};
