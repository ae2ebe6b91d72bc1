import { encodeHlc, type Json, type Op, settle } from '@skein/sync-core';
import { type Decision, refuse, requireRole, unchanged } from './decision.ts';
import { documentEvent, documentState, nextVersion, sessionEvents } from './document.ts';
import type { Actor } from './event.ts';
import type { RulesOf } from './rules.ts';
import { sessionDocument, sessionOf } from './session.ts';
import { type DocumentRow, keyOf, type SpaceState } from './state.ts';

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
  const { actor, nowMs } = command;
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

  const row = state.documents.get(keyOf(sessionDocument.collection, sessionDocument.id));
  const before = documentState(row);
  const mutation = {
    seq: 0,
    ...sessionDocument,
    baseVersion: row && !row.deleted ? row.loggedVersion : 0,
    ops,
    hlc: encodeHlc({ ms: nowMs, counter: 0, device: actor.device ?? actor.platform }),
  };
  const settled = settle(before, mutation, command.rulesOf(sessionDocument.collection).policy, nowMs);
  if (!('document' in settled) || !settled.document)
    return refuse('invalid_request', 'The session cannot be changed like this');
  const { document } = settled;
  const offset = state.head + 1;
  const version = nextVersion(row, document.version);
  const now: DocumentRow = {
    space: state.id,
    ...sessionDocument,
    version,
    loggedVersion: version,
    value: JSON.stringify(document.value),
    hash: command.hashOf(document.value),
    offset,
    fields: JSON.stringify(document.fields),
    deleted: false,
    updatedAtMs: nowMs,
    clientTimeMs: nowMs,
  };
  return {
    result: { offset, ...wanted },
    events: [
      documentEvent(now, { actor, device: actor.device }, { ops: JSON.stringify(settled.ops) }),
      ...sessionEvents(row, now, actor),
    ],
    writes: { documents: [now] },
  };
};
