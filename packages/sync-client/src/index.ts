export { applyFrame } from './apply-frame.ts';
export { loadOutbox, saveOutbox } from './cache.ts';
export {
  changesMax,
  loadChanges,
  type ShownDocument,
  saveChanges,
  shownDocuments,
  waitingIn,
} from './changes.ts';
export type { Link } from './connection.ts';
export { decodeFrame, fields, list, num, str, timeMs } from './decode.ts';
export type { Document } from './frames.ts';
export { adopt, forgetPerson, hasWork, type KeptStore, type KeptWork, keptWork, keysOf } from './kept.ts';
export { readMessagePage } from './messages.ts';
export {
  type ChatMessage,
  type Conversation,
  documentKey,
  type Effect,
  emptySpace,
  emptyState,
  type SessionState,
  type SpaceState,
} from './model.ts';
export { type Outbox, type OutboxEntry, outboxMax } from './outbox.ts';
export {
  type Access,
  type Clock,
  type Device,
  type KeyValue,
  type OpenSocket,
  SignInNeeded,
  type SocketEvents,
} from './ports.ts';
export { CommandError } from './requests.ts';
export { createSession, type Session, type SessionDeps, type SessionRest } from './session.ts';
export { stateHash } from './state-hash.ts';
export type { TurnReading } from './turns.ts';
