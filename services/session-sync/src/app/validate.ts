import { AppError } from '@skein/contracts';

const invalid = (path: string, message: string): AppError =>
  new AppError('invalid_request', `${path} ${message}`, { errors: [{ path, message }] });

/** Bytes of a text in UTF-8. */
export const byteLength = (text: string): number => Buffer.byteLength(text);

/**
 * A text within bounds (in UTF-8 bytes), whole and without U+0000, which Postgres cannot keep. Errors:
 * `invalid_request` with the path.
 */
export const checkedText = (
  path: string,
  text: string,
  { min = 1, max }: { readonly min?: number; readonly max: number },
): string => {
  if (text.length < min) throw invalid(path, 'must not be empty');
  if (byteLength(text) > max) throw invalid(path, `must be at most ${max} bytes long`);
  if (text.includes('\u0000')) throw invalid(path, 'must not contain U+0000');
  if (!text.isWellFormed()) throw invalid(path, 'must be well-formed Unicode');
  return text;
};

/** A whole number within bounds. */
export const checkedInteger = (path: string, value: number, min: number, max: number): number => {
  if (!Number.isSafeInteger(value) || value < min || value > max)
    throw invalid(path, `must be a whole number from ${min} to ${max}`);
  return value;
};

/** One of a fixed set. */
export const checkedOneOf = <const T extends string>(
  path: string,
  value: string,
  values: readonly T[],
): T => {
  const known = values.find((one) => one === value);
  if (known === undefined) throw invalid(path, `must be one of ${values.join(', ')}`);
  return known;
};

/** JSON text of an array or object within bounds, parsed. */
export const checkedJson = (path: string, text: string, max: number): unknown => {
  if (byteLength(text) > max) throw invalid(path, `must be at most ${max} bytes long`);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError('invalid_request', `${path} is not valid JSON`, {
      cause: error,
      errors: [{ path, message: 'is not valid JSON' }],
    });
  }
};

/** The limit of a page: 0 means the default. */
export const pageLimit = (limit: number, fallback: number, max: number): number =>
  limit === 0 ? fallback : checkedInteger('limit', limit, 1, max);

/** Longest ids and names that come from outside, in bytes. */
export const nameBytes = 256;

/** Bytes that so many UTF-16 code units, as the gateway counts them, take at most: what it takes fits in any script. */
const bytesOf = (characters: number): number => 3 * characters;

/** Longest titles, of spaces, conversations and projects. */
export const titleBytes = bytesOf(200);
/** Longest name that a person gives a device. */
export const deviceNameBytes = bytesOf(100);
/** Longest reason that is kept with an event. */
export const reasonBytes = bytesOf(500);
/** Longest question about a health record. */
export const questionBytes = bytesOf(4_096);
