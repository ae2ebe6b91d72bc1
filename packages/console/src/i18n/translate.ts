import { type Catalogue, en, type MessageKey } from './en.ts';
import { zh } from './zh.ts';

/** Languages the page speaks. Another one is a file with the same keys and a line here. */
export const catalogues = { en, zh } as const satisfies Record<string, Catalogue>;
/** A language of the page. */
export type Locale = keyof typeof catalogues;

/** The text of a key with `{name}` filled in; a name without a value stays as it is. */
export function translate(
  locale: Locale,
  key: MessageKey,
  values: Record<string, string | number> = {},
): string {
  return catalogues[locale][key].replace(/\{(\w+)\}/g, (whole, name: string) =>
    String(values[name] ?? whole),
  );
}

/** The first of the person's languages that the page speaks, else English. */
export function chooseLocale(wanted: readonly string[]): Locale {
  for (const tag of wanted) {
    const language = tag.toLowerCase().split('-')[0];
    if (language === 'en' || language === 'zh') return language;
  }
  return 'en';
}

/** What to say about a fault: the catalogue's sentence with the next step, else the server's own. */
export function explain(
  locale: Locale,
  fault: {
    readonly code?: string;
    readonly detail?: string;
    readonly message?: string;
    readonly retryable?: boolean;
    readonly retryAfterMs?: number | undefined;
  },
): string {
  const key = `error_${fault.code ?? ''}`;
  const seconds = Math.max(1, Math.ceil((fault.retryAfterMs ?? 5_000) / 1_000));
  if (key in en) return translate(locale, key as MessageKey, { seconds });
  const detail = (fault.detail || fault.message || fault.code || '').replace(/[.。]$/, '');
  return translate(locale, fault.retryable === false ? 'error_final' : 'error_other', { detail });
}
