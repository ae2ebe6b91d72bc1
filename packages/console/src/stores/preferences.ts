import { defineStore } from 'pinia';
import { ref, watchEffect } from 'vue';
import type { MessageKey } from '../i18n/en.ts';
import { chooseLocale, explain, type Locale, translate } from '../i18n/translate.ts';
import { useDeps } from './deps.ts';

/** `system` follows the device. */
export type Theme = 'light' | 'dark' | 'system';

/** How the page looks and speaks. Kept here for the first paint, and with the person for their other devices. */
export const usePreferences = defineStore('preferences', () => {
  const { storage } = useDeps();
  const keptTheme = storage.getItem('skein.theme');
  const keptLocale = storage.getItem('skein.locale');
  const theme = ref<Theme>(keptTheme === 'light' || keptTheme === 'dark' ? keptTheme : 'system');
  const locale = ref<Locale>(
    keptLocale === 'en' || keptLocale === 'zh' ? keptLocale : chooseLocale(navigator.languages),
  );

  watchEffect(() => {
    const root = document.documentElement;
    if (theme.value === 'system') delete root.dataset['theme'];
    else root.dataset['theme'] = theme.value;
    root.lang = locale.value === 'zh' ? 'zh-CN' : 'en';
  });

  const setTheme = (to: Theme): void => {
    theme.value = to;
    if (to === 'system') storage.removeItem('skein.theme');
    else storage.setItem('skein.theme', to);
  };
  const setLocale = (to: Locale): void => {
    locale.value = to;
    storage.setItem('skein.locale', to);
  };

  /** Takes over what the person has chosen on another device. */
  const adopt = (chosen: { readonly [name: string]: unknown }): void => {
    const { theme: look, locale: language } = chosen;
    if (look === 'light' || look === 'dark' || look === 'system') setTheme(look);
    if (language === 'en' || language === 'zh') setLocale(language);
  };

  /** The text of a key in the chosen language. */
  const t = (key: MessageKey, values?: Record<string, string | number>): string =>
    translate(locale.value, key, values);
  /** What to say about a fault, with the next step. */
  const why = (fault: unknown): string => explain(locale.value, fault as Parameters<typeof explain>[1]);

  return { theme, locale, setTheme, setLocale, adopt, t, why };
});
