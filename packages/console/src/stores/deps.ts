import type { Clock, Session, SessionDeps } from '@skein/sync-client';
import { type InjectionKey, inject } from 'vue';
import type { Api } from '../rest/api.ts';
import type { Tokens } from '../rest/tokens.ts';

/** What the stores need from outside; `main.ts` provides it, tests bring their own. */
export interface PageDeps {
  readonly tokens: Tokens;
  readonly api: Api;
  readonly newId: () => string;
  readonly clock: Clock;
  readonly storage: Storage;
  /** Opens the session of a signed-in person. */
  readonly openSession: (
    userId: string,
    on: Pick<SessionDeps, 'onChange' | 'onLink' | 'onDraft' | 'onRefused' | 'onUnkept'>,
  ) => Promise<Session>;
}

export const pageDeps: InjectionKey<PageDeps> = Symbol('pageDeps');

/** The provided dependencies; a page without them is a bug. */
export function useDeps(): PageDeps {
  const deps = inject(pageDeps);
  if (deps === undefined) throw new Error('main.ts must provide pageDeps');
  return deps;
}
