import type { Json, Op } from '@skein/sync-core';
import { changeAsSeen } from './change-as-seen.ts';
import { type Decision, requireRole, unchanged } from './decision.ts';
import { sessionEvents } from './document.ts';
import type { Actor } from './event.ts';
import type { RulesOf } from './rules.ts';
import { sessionDocument, sessionOf } from './session.ts';
import type { SpaceState } from './state.ts';

/** Another persona, or memory on or off; what is undefined stays. */
export interface ChangeSession {
  readonly userId: string;
  readonly actor: Actor;
  readonly persona?: string | undefined;
  readonly memoryEnabled?: boolean | undefined;
  readonly nowMs: number;
  readonly hashOf: (value: Json) => string;
  readonly rulesOf: RulesOf;
}

/** The session after it; `offset` of the document's event, 0 when nothing changed. */
export interface SessionChanged {
  readonly offset: number;
  readonly persona: string;
  readonly memoryEnabled: boolean;
}

/** A mutation of `session/current` by somebody who sees it as it is: it never conflicts. */
export const changeSession = (state: SpaceState, command: ChangeSession): Decision<SessionChanged> => {
  const denied = requireRole(state, command.userId, 'editor');
  if (denied) return denied;
  const is = sessionOf(state);
  const wanted = {
    persona: command.persona ?? is.persona,
    memoryEnabled: command.memoryEnabled ?? is.memoryEnabled,
  };
  const ops: Op[] = [];
  if (wanted.persona !== is.persona) ops.push({ op: 'set', path: ['persona'], value: wanted.persona });
  if (wanted.memoryEnabled !== is.memoryEnabled)
    ops.push({ op: 'set', path: ['memoryEnabled'], value: wanted.memoryEnabled });
  if (ops.length === 0) return unchanged({ offset: 0, ...is });

  const changed = changeAsSeen(state, { ...command, ...sessionDocument, ops });
  if ('refused' in changed) return changed;
  const { before, row, event } = changed;
  return {
    result: { offset: row.offset, ...wanted },
    events: [event, ...sessionEvents(before, row, command.actor)],
    writes: { documents: [row] },
  };
};
