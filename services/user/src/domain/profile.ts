import type { FieldError } from '@skein/contracts';

/** What a person says about themselves. */
export interface Profile {
  readonly userId: string;
  readonly email: string;
  readonly displayName: string;
  /** BCP 47; empty when not known. */
  readonly locale: string;
  /** IANA name; empty when not known. */
  readonly timezone: string;
  readonly createdAtMs: number;
}

/** The fields a person may change; those left out stay. */
export interface ProfileChange {
  readonly displayName?: string | undefined;
  readonly locale?: string | undefined;
  readonly timezone?: string | undefined;
}

/** Longest name shown for a person, in code points. */
const maxDisplayName = 100;

const canonicalLocale = (text: string): string | undefined => {
  try {
    return Intl.getCanonicalLocales(text)[0];
  } catch {
    // A RangeError is how the platform says that it is not a locale.
    return undefined;
  }
};

const canonicalTimezone = (text: string): string | undefined => {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone;
  } catch {
    return undefined;
  }
};

const displayName = (text: string): string | undefined => {
  const name = text.trim().normalize('NFC');
  return name !== '' && [...name].length <= maxDisplayName && !/\p{Cc}/u.test(name) ? name : undefined;
};

const rules = {
  displayName: { accept: displayName, message: `must have 1 to ${maxDisplayName} printable characters` },
  // Empty takes it back: unknown again.
  locale: {
    accept: (text: string) => (text === '' ? '' : canonicalLocale(text)),
    message: 'must be a language tag',
  },
  timezone: {
    accept: (text: string) => (text === '' ? '' : canonicalTimezone(text)),
    message: 'must be an IANA time zone',
  },
} as const;

/** A change in canonical spelling, or the faults of its fields. */
export const checkChange = (change: ProfileChange): { change: ProfileChange } | { faults: FieldError[] } => {
  const accepted: Record<string, string> = {};
  const faults: FieldError[] = [];
  for (const field of ['displayName', 'locale', 'timezone'] as const) {
    const given = change[field];
    if (given === undefined) continue;
    // No platform knows a longer tag or zone; `Intl` need not look at it.
    const value = given.length > 500 ? undefined : rules[field].accept(given);
    if (value === undefined) faults.push({ path: field, message: rules[field].message });
    else accepted[field] = value;
  }
  return faults.length > 0 ? { faults } : { change: accepted };
};
