import { describe, expect, it } from 'vitest';
import {
  displayNameOf,
  normaliseEmail,
  normalisePassword,
  passwordFault,
} from '../src/domain/credentials.ts';

describe('an address', () => {
  it.each([
    [' Ada@Example.ORG ', 'ada@example.org'],
    ['a+tag@sub.example.co.uk', 'a+tag@sub.example.co.uk'],
    ['zoë@exämple.de', 'zoë@exämple.de'],
    ['demo@localhost', 'demo@localhost'],
  ])('%j is kept as %j', (given, kept) => {
    expect(normaliseEmail(given)).toBe(kept);
  });

  it.each([
    '',
    'ada',
    '@example.org',
    'ada@',
    'a b@example.org',
    'ada@example..org',
    'ada@-example.org',
    'ada@example.org\n.evil',
    '"ada"@example.org',
    'ada@eve@example.org',
    `${'x'.repeat(65)}@example.org`,
    `ada@${'x'.repeat(64)}.org`,
    `ada@${'x.'.repeat(130)}org`,
  ])('%j is none', (given) => {
    expect(normaliseEmail(given)).toBeUndefined();
  });
});

describe('a password', () => {
  it.each(['correct horse', 'ÄÖÜäöü12', 'x7#kq9!z', '        8', 'пароль-надёжный', 'a'.repeat(256)])(
    '%j is good: there are no rules of composition',
    (password) => {
      expect(passwordFault(password, 'ada@example.org')).toBeUndefined();
    },
  );

  it.each([
    ['seven77', 'must have at least 8 characters'],
    ['𝔡'.repeat(257), 'must have at most 256 characters'],
    ['Password123', 'is one of the most used passwords'],
    ['ｐａｓｓｗｏｒｄ', 'is one of the most used passwords'],
    ['Ada@Example.org', 'must not be the address'],
  ])('%j is refused: %s', (password, fault) => {
    expect(passwordFault(password, 'ada@example.org')).toBe(fault);
  });

  it('is the same whichever way its accents were typed', () => {
    expect(normalisePassword('cafe\u0301 au lait')).toBe(normalisePassword('caf\u00e9 au lait'));
  });
});

describe('a name to show', () => {
  it('is the part of the address before the @ when none is given', () => {
    expect(displayNameOf('  ', 'ada.lovelace@example.org')).toBe('ada.lovelace');
    expect(displayNameOf(' Ada ', 'ada@example.org')).toBe('Ada');
  });

  it('is refused when it is too long or cannot be shown', () => {
    expect(displayNameOf('x'.repeat(101), 'ada@example.org')).toBeUndefined();
    expect(displayNameOf('a\u0000b', 'ada@example.org')).toBeUndefined();
  });
});
