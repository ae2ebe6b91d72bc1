import { keyOf, type SpaceState } from './state.ts';

/** The document that is the session: which persona answers, and whether memory is on. */
export const sessionDocument = { collection: 'session', id: 'current' } as const;

/** The session's fields with what holds before anybody chose. */
export interface SessionState {
  readonly persona: string;
  readonly memoryEnabled: boolean;
}

const defaults: SessionState = { persona: 'cruz', memoryEnabled: true };

/** Reads `session/current`; anything missing or malformed in it is the default. */
export const sessionOf = (state: Pick<SpaceState, 'documents'>): SessionState => {
  const row = state.documents.get(keyOf(sessionDocument.collection, sessionDocument.id));
  if (!row || row.deleted) return defaults;
  const value: unknown = JSON.parse(row.value);
  const fields =
    typeof value === 'object' && value !== null ? (value as Partial<Record<string, unknown>>) : {};
  return {
    persona: typeof fields.persona === 'string' ? fields.persona : defaults.persona,
    memoryEnabled: typeof fields.memoryEnabled === 'boolean' ? fields.memoryEnabled : defaults.memoryEnabled,
  };
};
