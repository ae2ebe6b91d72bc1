import pg from 'pg';

// Type numbers of pg_type.h.
const int8 = 20;
const int8Array = 1016;
const date = 1082;
const timestamp = 1114;

/** `int8` as a number; what a number cannot hold exactly is an error, never a wrong value. */
export const parseInt8 = (text: string): number => {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`int8 ${text} is beyond 2^53`);
  return value;
};

const asText = (text: string): string => text;
// The parser of text[] splits any array; its number is missing in the driver's types.
const splitArray = (pg.types.getTypeParser as (oid: number) => (text: string) => (string | null)[])(1009);

/**
 * How values come back, where it differs from `pg`: `int8` as number (also in arrays), `date` and `timestamp` as
 * the text the server sent, because a `Date` would read them in this machine's time zone. `xid8` has no parser in
 * `pg` and stays a string.
 */
export const typeParsers: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (format !== 'binary') {
      if (oid === int8) return parseInt8;
      if (oid === int8Array)
        return (text: string) => splitArray(text).map((item) => (item === null ? null : parseInt8(item)));
      if (oid === date || oid === timestamp) return asText;
    }
    return pg.types.getTypeParser(oid, format);
  }) as typeof pg.types.getTypeParser,
};
