import { commonPasswords } from './common-passwords.ts';

/** RFC 5321: a path has 256 octets, angle brackets included. */
const maxEmailLength = 254;

// The unquoted form only: quoted local parts are legal and used by nobody but attackers.
const emailShape =
  /^[^\s@\p{C}"(),:;<>[\]\\]{1,64}@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?\.)*[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?$/u;

/**
 * The one spelling of an address under which an account is kept: trimmed, composed, lower case. Undefined for
 * what is not an address. Providers could tell upper case apart in the local part; none does.
 */
export const normaliseEmail = (text: string): string | undefined => {
  // Nothing that long becomes an address; composing it would cost more than refusing it.
  if (text.length > 4 * maxEmailLength) return undefined;
  const email = text.trim().normalize('NFC').toLowerCase();
  return email.length <= maxEmailLength && emailShape.test(email) ? email : undefined;
};

/** Shortest and longest password in code points. The upper bound keeps hashing cheap to ask for. */
export const passwordLength = { min: 8, max: 256 } as const;

/** Whether a text is too long for a password before it is even composed, which can make it longer still. */
export const isTooLong = (password: string): boolean => password.length > 4 * passwordLength.max;

/** The form of a password that is hashed: the same keys on another keyboard layout give the same text. */
export const normalisePassword = (password: string): string => password.normalize('NFKC');

/**
 * Why a password is refused, as a sentence, or undefined for a good one. There are no composition rules:
 * length and not being on every attacker's list is what helps.
 */
export const passwordFault = (password: string, email: string): string | undefined => {
  const tooLong = `must have at most ${passwordLength.max} characters`;
  if (isTooLong(password)) return tooLong;
  const text = normalisePassword(password);
  const length = [...text].length;
  if (length < passwordLength.min) return `must have at least ${passwordLength.min} characters`;
  if (length > passwordLength.max) return tooLong;
  const lower = text.toLowerCase();
  if (commonPasswords.has(lower)) return 'is one of the most used passwords';
  if (lower === email) return 'must not be the address';
  return undefined;
};

/** Longest name shown for a person, in code points. */
export const maxDisplayName = 100;

/** The name to show: the one given, else the part before the @. Undefined for one that is not acceptable. */
export const displayNameOf = (given: string, email: string): string | undefined => {
  if (given.length > 10 * maxDisplayName) return undefined;
  const name = given.trim().normalize('NFC') || email.slice(0, email.indexOf('@'));
  return [...name].length <= maxDisplayName && !/\p{Cc}/u.test(name) ? name : undefined;
};
