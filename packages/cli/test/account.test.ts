import { expect, it } from 'vitest';
import { accountName } from '../src/account.ts';

it('names the account that runs a command, and its number where the account has no name', () => {
  expect(accountName(() => ({ username: 'ada' }))).toBe('ada');
  const nameless = () => {
    throw new Error('uv_os_get_passwd returned ENOENT');
  };
  expect(accountName(nameless)).toMatch(/^uid \d+$/);
});
