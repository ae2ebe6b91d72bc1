import { type Document, documentKey, fields, str } from '@skein/sync-client';
import type { Op } from '@skein/sync-core';
import type { MessageKey } from '../i18n/en.ts';

/** The title that a value has for people; empty when it has none. */
export function titleIn(value: unknown): string {
  const { title, text, name } = fields(value);
  return str(title) || str(text) || str(name);
}

/** What people call a document: its title, what was written as its title, or what it is. */
export function nameOf(
  collection: string,
  id: string,
  documents: { readonly [key: string]: Document },
  ops: readonly Op[],
  t: (key: MessageKey) => string,
): string {
  if (collection === 'session') return t('theSession');
  if (collection === 'user_preferences') return t('thePreferences');
  const written = ops.map((op) => {
    if (op.op !== 'set') return '';
    return op.path.length === 0 ? titleIn(op.value) : titleIn({ [op.path[0] ?? '']: op.value });
  });
  return (
    written.find((title) => title !== '') ||
    titleIn(documents[documentKey(collection, id)]?.value) ||
    `${collection}/${id}`
  );
}
