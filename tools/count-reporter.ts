import { appendFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';

/**
 * Ends a test run with one plain line, `N passed, N failed`, for programs that read logs. A file that could not be
 * loaded has no tests and counts as one that failed. With `SKEIN_TEST_COUNTS` the two numbers go to the end of that
 * file instead, for whoever adds up several runs.
 */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    let passed = 0;
    let failed = 0;
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      passed += tests.filter((test) => test.ok() && test.result().state === 'passed').length;
      const broken = tests.filter((test) => !test.ok()).length;
      failed += broken === 0 && module.state() === 'failed' ? 1 : broken;
    }
    const file = process.env['SKEIN_TEST_COUNTS'];
    if (file) appendFileSync(file, `${passed} ${failed}\n`);
    else console.log(`${passed} passed, ${failed} failed`);
  }
}
