import { describe, expect, it } from 'vitest';
import { createLogger } from '../src/index.ts';

const logged = (write: (log: ReturnType<typeof createLogger>) => void) => {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  write(createLogger({ service: 'auth', instance: 'auth-1', level: 'info', destination }));
  return lines;
};

describe('a log line', () => {
  it('is JSON with time, level, service and instance', () => {
    const [line] = logged((log) => log.info({ port: 1 }, 'listens'));
    expect(JSON.parse(line ?? '')).toMatchObject({
      level: 'info',
      service: 'auth',
      instance: 'auth-1',
      port: 1,
      msg: 'listens',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    });
  });

  it('never holds a secret, wherever it stands in the first levels', () => {
    const canary = 'canary-7f3a';
    const [line] = logged((log) =>
      log.info(
        {
          password: canary,
          request: { accessToken: canary, headers: { authorization: canary, cookie: canary } },
          tokens: { refreshToken: canary },
          hello: { ticket: canary },
        },
        'request',
      ),
    );
    expect(line).not.toContain(canary);
    expect(line).toContain('[cut]');
  });

  it('keeps the cause of an error', () => {
    const [line] = logged((log) =>
      log.error({ err: new Error('away', { cause: new Error('refused') }) }, 'failed'),
    );
    expect(line).toContain('refused');
  });
});
