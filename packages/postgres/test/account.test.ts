import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { blockedAt } from '../src/embedded/account.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const stranger = { uid: 54_321, gid: 54_321, drops: true };

it('names the directory which the unprivileged user of a server cannot enter', async () => {
  const directory = await temporaryDirectory();
  const home = join(directory.path, 'home');
  await mkdir(home);
  await chmod(home, 0o700);
  expect(blockedAt(join(home, 'skein', 'data'), stranger)).toBe(home);
  await chmod(home, 0o711);
  expect(blockedAt(join(home, 'skein', 'data'), stranger)).toBeUndefined();
  await directory.remove();
});

it('leaves it to the system when the server runs as ourselves', async () => {
  expect(blockedAt('/', { ...stranger, drops: false })).toBeUndefined();
});
