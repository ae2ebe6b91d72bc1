import { keyOf, type SpaceState } from './state.ts';

/** The document that is the session: which persona answers, and whether memory is on. */
export const sessionDocument = { collection: 'session', id: 'current' } as const;

/** The session's fields with what holds before anybody chose. */
export interface SessionState {
  readonly persona: string;
  readonly memoryEnabled: boolean;
}

const defaults: SessionState = { persona: 'cruz', memoryEnabled: true };

const personaShape = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Whether a value can be a persona's name: it goes into messages and turns as it is. */
export const isPersona = (value: unknown): value is string =>
  typeof value === 'string' && personaShape.test(value);

/** Reads `session/current`; anything missing or malformed in it is the default. */
export const sessionOf = (state: Pick<SpaceState, 'documents'>): SessionState => {
  const row = state.documents.get(keyOf(sessionDocument.collection, sessionDocument.id));
  if (!row || row.deleted) return defaults;
  const value: unknown = JSON.parse(row.value);
  const fields =
    typeof value === 'object' && value !== null ? (value as Partial<Record<string, unknown>>) : {};
  return {
    persona: isPersona(fields.persona) ? fields.persona : defaults.persona,
    memoryEnabled: typeof fields.memoryEnabled === 'boolean' ? fields.memoryEnabled : defaults.memoryEnabled,
  };
};
