import { appendFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { Reporter, TestCase, TestModule } from 'vitest/node';

const firstLine = (errors: readonly { readonly message: string }[] | undefined): string =>
  errors?.[0]?.message.split('\n', 1)[0]?.slice(0, 300) ?? '';

const nameOf = (test: TestCase): string =>
  `${relative(process.cwd(), test.module.moduleId)} > ${test.fullName}`;

/**
 * Ends a test run with one plain line, `N passed, N failed`, for programs that read logs, after one line for each test
 * that failed or that passed only when it was tried again. A file that could not be loaded has no tests and counts as
 * one that failed. With `SKEIN_TEST_COUNTS` the two numbers and, behind a `#`, the lines go to the end of that file
 * instead, for whoever adds up several runs: the log of a long run is rarely read from its beginning.
 */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    let passed = 0;
    let failed = 0;
    const notes: string[] = [];
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      passed += tests.filter((test) => test.ok() && test.result().state === 'passed').length;
      for (const test of tests.filter((one) => one.diagnostic()?.flaky))
        notes.push(`passed only when tried again: ${nameOf(test)}: ${firstLine(test.result().errors)}`);
      const broken = tests.filter((test) => !test.ok());
      for (const test of broken) notes.push(`failed: ${nameOf(test)}: ${firstLine(test.result().errors)}`);
      if (broken.length === 0 && module.state() === 'failed')
        notes.push(`failed: ${relative(process.cwd(), module.moduleId)}: ${firstLine(module.errors())}`);
      failed += broken.length === 0 && module.state() === 'failed' ? 1 : broken.length;
    }
    const file = process.env['SKEIN_TEST_COUNTS'];
    if (file)
      appendFileSync(file, [`${passed} ${failed}`, ...notes.map((note) => `# ${note}`), ''].join('\n'));
    else for (const line of [...notes, `${passed} passed, ${failed} failed`]) console.log(line);
  }
}
