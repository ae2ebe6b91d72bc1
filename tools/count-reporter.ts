import type { Reporter, TestModule } from 'vitest/node';

/**
 * Ends a test run with one plain line, `N passed, N failed`, for programs that read logs. A file that could not be
 * loaded has no tests and counts as one that failed.
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
    console.log(`${passed} passed, ${failed} failed`);
  }
}
