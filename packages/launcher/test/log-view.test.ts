import { describe, expect, it } from 'vitest';
import { gist, readable } from '../src/log-view.ts';

const line = (record: Record<string, unknown>) =>
  JSON.stringify({ level: 'info', time: '2026-05-17T10:11:12.345Z', ...record });

describe('a log line for people', () => {
  it('has time, service, level, message and the other fields', () => {
    const record = { service: 'auth', instance: 'auth', trace_id: 'ab', msg: 'login', ms: 1.5, via: 'web' };
    expect(readable('auth', line(record), false)).toBe(
      '10:11:12.345 auth           info  login  ms=1.5 via=web',
    );
  });

  it('shows of an error its message only', () => {
    const record = { msg: 'failed', err: { type: 'Error', message: 'no luck', stack: 'Error\n  at x' } };
    expect(readable('auth', line(record), false)).toMatch(/failed {2}err=no luck$/);
    expect(readable('auth', line({ msg: 'failed', err: 'text' }), false)).toMatch(/err=text$/);
    const coded = { message: '[unavailable] no luck', detail: 'no luck' };
    expect(readable('auth', line({ msg: 'failed', err: coded }), false)).toMatch(/failed {2}err=no luck$/);
    expect(readable('auth', line({ msg: coded.message, err: coded }), false)).toMatch(
      /\[unavailable\] no luck$/,
    );
  });

  it('passes on what is no record as it is', () => {
    for (const text of ['Error: boom', '{ not json', '3', 'null'])
      expect(readable('auth', text, false)).toBe(`             auth           ${text}`);
  });

  it('lets nothing that strangers sent steer the terminal', () => {
    const steering = '\u001b]0;title\u0007\u009b2J';
    for (const text of [line({ msg: `hi${steering}`, agent: `a\nb${steering}` }), `raw${steering}`]) {
      const shown = readable('auth', text, false);
      expect(shown).not.toMatch(/\p{Cc}/u);
      expect(shown).toContain('\\x1b]0;title\\x07\\x9b2J');
    }
  });

  it('has colours only when asked', () => {
    expect(readable('auth', line({ level: 'error', msg: 'x' }), true)).toContain('\u001b[31merror');
  });
});

describe('the gist of why a process ended', () => {
  it('is its fatal line with the reason in it', () => {
    const fatal = line({ level: 'fatal', msg: 'uncaughtException', err: { message: 'no luck' } });
    expect(gist([line({ msg: 'migrated' }), fatal, 'Node.js v24'])).toBe('uncaughtException: no luck');
    expect(gist([line({ level: 'fatal', msg: 'no luck', err: { message: 'no luck' } })])).toBe('no luck');
    const coded = { message: '[unavailable] no luck', detail: 'no luck' };
    expect(gist([line({ level: 'fatal', msg: coded.message, err: coded })])).toBe('no luck');
    expect(gist([line({ level: 'fatal', msg: 'no luck' })])).toBe('no luck');
  });

  it('is all it said when it logged none', () => {
    expect(gist(['The configuration has 1 fault(s):', '  PORT must be a port'])).toBe(
      'The configuration has 1 fault(s):\n  PORT must be a port',
    );
    expect(gist([])).toBe('it said nothing');
  });
});
