import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

/** A service whose one part finds what `FOUND` says, and nothing at all when it is empty. */
const program = `
import { runService, text } from '@skein/service-kit';
const log = { info() {}, error() {}, fatal() {}, flush() {} };
const never = () => { throw new Error('it was started'); };
await runService({
  name: 'greeter',
  config: { FOUND: text('What the check finds') },
  compose: ({ FOUND }) => ({
    log,
    service: {
      id: 'greeter',
      run: never,
      stop: never,
      check: async (waitMs) => {
        if (FOUND === 'fault') throw new Error('no hat\\nno coat');
        return FOUND + ' within ' + waitMs + ' ms';
      },
    },
  }),
});`;

const run = async (env: Record<string, string>, ...args: string[]) => {
  const cwd = fileURLToPath(new URL('..', import.meta.url));
  const ended = promisify(execFile)(
    process.execPath,
    ['--input-type=module', '--eval', program, '--', ...args],
    { cwd, env },
  );
  return ended.then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
      code,
      stdout,
      stderr,
    }),
  );
};

describe('the command line of a service', () => {
  it('checks instead of starting: what was found, each line with the name of the service', async () => {
    expect(await run({ FOUND: 'hat and coat' }, '--check', '--wait=3')).toEqual({
      code: 0,
      stdout: 'greeter: hat and coat within 3000 ms\n',
      stderr: '',
    });
  });

  it('ends a check that finds a fault with 69 and the hint, if there is one', async () => {
    expect(await run({ FOUND: 'fault' }, '--check', '--hint=Look in the hall.')).toEqual({
      code: 69,
      stdout: '',
      stderr: 'greeter: no hat\ngreeter: no coat\ngreeter: Look in the hall.\n',
    });
  });

  it('ends a check with 78 when the configuration is wrong', async () => {
    const { code, stderr } = await run({}, '--check', '--hint=Look in the hall.');
    expect(code).toBe(78);
    expect(stderr).toMatch(/^greeter: The configuration has 1 fault/);
    expect(stderr).toContain('greeter: Look in the hall.');
  });

  it.each([
    ['--chekc', "Unknown option '--chekc'"],
    ['--wait=soon', '--wait must be a whole number of seconds'],
  ])('refuses %s and says what there is', async (argument, says) => {
    const { code, stderr } = await run({ FOUND: 'x' }, argument);
    expect(code).toBe(64);
    expect(stderr).toContain(says);
    expect(stderr).toContain('Usage: main [--check');
  });
});
