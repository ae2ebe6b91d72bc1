import type { Json, Policy } from '@skein/sync-core';

/** The rules of one collection, ready to be used. */
export interface Rules {
  readonly policy: Policy;
  /**
   * Where a value breaks the collection's schema (a JSON Pointer); undefined when it does not. A document that broke
   * it before, because the schema has changed since, may be written as long as nothing new is wrong with it.
   */
  readonly faultOf: (value: Json, before?: Json) => string | undefined;
}

/** The rules as they are now: they may change while devices are connected, so nothing keeps them. */
export type RulesOf = (collection: string) => Rules;

/** Whether documents of a collection may come to need a person who chooses. */
export const isManual = ({ strategy, resolvers, otherwise }: Policy): boolean =>
  strategy === 'manual' || otherwise === 'manual' || Object.values(resolvers ?? {}).includes('manual');
