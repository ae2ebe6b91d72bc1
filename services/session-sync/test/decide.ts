import { expect } from 'vitest';
import type { Decision } from '../src/domain/decision.ts';
import type { InvitationCounts } from '../src/domain/invitation.ts';
import { emptyState, evolve, type Role, type SpaceState } from '../src/domain/state.ts';

type Decider = (state: SpaceState) => Decision<unknown>;

/** Nobody has invited anybody. */
export const noInvitations: InvitationCounts = {
  ...{ open: 0, sent: 0, waiting: 0, mailsOfMaker: 0, mails: 0, declined: false },
};

/** A space in which `ann` is the owner, `ed` an editor and `vi` a viewer. */
export const aSpace = (kind: 'personal' | 'team' = 'team'): SpaceState => {
  const state = emptyState({ id: 'space', kind, title: '', epoch: 'e', head: 0 });
  for (const [user, role] of [
    ['ann', 'owner'],
    ['ed', 'editor'],
    ['vi', 'viewer'],
  ] as [string, Role][])
    state.roles.set(user, role);
  return state;
};

/** given(decisions).when(decision).emits(events, result): what was decided before is the state it builds on. */
export const given = (...before: Decider[]) => {
  const state = aSpace();
  for (const decide of before) {
    const decision = decide(state);
    if ('refused' in decision) throw new Error(`given something refused: ${decision.refused.detail}`);
    evolve(state, decision.events.length, decision.writes);
  }
  return {
    state,
    when: (decide: Decider) => {
      const decision = decide(state);
      return {
        /** The types of the events, in order, and what is told. */
        emits: (types: readonly string[], result?: unknown) => {
          if ('refused' in decision) throw new Error(`refused: ${decision.refused.code}`);
          expect(decision.events.map(({ type }) => type)).toEqual(types);
          if (typeof result === 'object' && result !== null) expect(decision.result).toMatchObject(result);
          else if (result !== undefined) expect(decision.result).toBe(result);
          return decision;
        },
        refused: (code: string) => {
          expect(decision).toMatchObject({ refused: { code } });
        },
      };
    },
  };
};
