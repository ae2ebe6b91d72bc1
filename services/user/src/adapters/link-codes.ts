import { createHash, randomInt } from 'node:crypto';
import type { LinkCodes } from '../app/identities.ts';

/** Crockford's base 32 without letters that are taken for digits. */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
/** 50 bits: nobody finds one by trying within its ten minutes. */
const length = 10;

/** As it was meant: without separators, letters that look like digits as digits. */
const meant = (code: string): string =>
  code.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');

/** Codes from the system's randomness, such as `7K3QD-0M4ZT`. */
export const linkCodes: LinkCodes = {
  make: () => {
    const letters = Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('');
    return `${letters.slice(0, length / 2)}-${letters.slice(length / 2)}`;
  },
  hash: (code) => createHash('sha256').update(meant(code)).digest(),
};
