import type { CallContext } from '@skein/rpc';
import type { Project, ProjectTask, TaskEnd } from '../domain/project.ts';
import type { Ending, HeldTurn, Turn, TurnOutcome, TurnState } from '../domain/turn.ts';
import type { ProjectInput, Step } from './run-project.ts';

/** What starts a turn; the poke and the event carry the same. */
export type NewTurn = Pick<
  Turn,
  'id' | 'space' | 'conversationId' | 'questionId' | 'userId' | 'persona' | 'traceparent'
>;

/** Where turns are kept. */
export interface TurnStore {
  /** Adds a turn once; false when it was known. */
  add(turn: NewTurn): Promise<boolean>;
  get(id: string): Promise<Turn | undefined>;
  /** Takes the oldest turns nobody holds (at most `limit`, none of `except`) for the length of a lease. */
  claim(limit: number, except: readonly string[]): Promise<readonly HeldTurn[]>;
  /** Lengthens the lease. False: another owner has it now. */
  renew(held: HeldTurn): Promise<boolean>;
  /** Gives up what an earlier life of this instance held. */
  releaseOwn(): Promise<void>;
  /** Saves progress and renews the lease. Undefined: another owner has it now. */
  save(
    held: HeldTurn,
    progress: { text: string; messageId: string },
  ): Promise<{ cancelRequested: boolean } | undefined>;
  /** Notes the end before the session is told, so that a successor tells the same. False: another owner has it. */
  decide(held: HeldTurn, ending: Ending): Promise<boolean>;
  /** The session knows the end. */
  finish(held: HeldTurn, outcome: TurnOutcome, text: string): Promise<void>;
  /** Asks for a cancel; the state before it, or undefined for an unknown turn. */
  requestCancel(id: string): Promise<TurnState | undefined>;
}

/** A message of a conversation, as far as an answer needs it. */
export interface HistoryMessage {
  readonly id: string;
  readonly role: 'user' | 'assistant';
  readonly text: string;
  readonly timeMs: number;
}

/** The session a turn belongs to. */
export interface Session {
  /** The role of the context's actor in the space; rejects with `not_found` unless they may see it. */
  roleIn(space: string, ctx: CallContext): Promise<string>;
  /** turn.started, once. */
  start(turn: Turn, ctx: CallContext): Promise<{ messageId: string; ended: TurnOutcome | undefined }>;
  /** The one end; the answer says how it really ended. */
  end(turn: Turn, ending: Ending, ctx: CallContext): Promise<TurnOutcome>;
  /** To everybody who watches now; may be lost. */
  publishTokens(turn: Turn, from: number, text: string, ctx: CallContext): Promise<void>;
  /** The newest messages of the conversation, oldest first. */
  history(turn: Turn, limit: number, ctx: CallContext): Promise<readonly HistoryMessage[]>;
  /** Messages of the person that match; within the conversation only when asked so. */
  search(
    turn: Turn,
    query: string,
    limit: number,
    ctx: CallContext,
  ): Promise<readonly (HistoryMessage & { conversationId: string })[]>;
  /** Notes and knowledge documents of the space. */
  notes(turn: Turn, limit: number, ctx: CallContext): Promise<readonly { title: string; text: string }[]>;
  memoryEnabled(turn: Turn, ctx: CallContext): Promise<boolean>;
}

/** One chunk of an answer, or a fact about it that is shown with it. */
export type ModelPart = { readonly text: string } | { readonly meta: Readonly<Record<string, unknown>> };

/** Whatever answers. */
export interface Model {
  /** Shown to people. */
  readonly name: string;
  /** Streams the answer to a turn. Stops when the signal aborts. Throws an AppError it cannot help. */
  answer(turn: Turn, ctx: CallContext): AsyncIterable<ModelPart>;
}

/** Fast news of cancels between replicas; the store is the truth. */
export interface CancelSignals {
  send(turnId: string): void;
  listen(heard: (turnId: string) => void): () => void;
}

/** Projects on their way: what was asked for, until their saga has ended. */
export interface Projects {
  /**
   * Keeps a project and starts its saga, or neither. The same key with the same body gives the first answer again;
   * with another body it is `idempotency_mismatch`.
   */
  begin(
    project: Project,
    once: { readonly key: string | undefined; readonly body: unknown; readonly correlationId: string },
  ): Promise<{ readonly projectId: string; readonly sagaId: string }>;
  /** `not_found` when there is none. */
  get(id: string): Promise<Project>;
  /** Cancels the saga of a person's project, and gives its state; `not_found`, `saga_state`. */
  cancel(id: string, userId: string): Promise<string>;
  /** Forgets a bounded number of those whose sagas have ended. */
  forgetEnded(): Promise<void>;
}

/** The space a project is for. Steps act once per key; a space that is gone needs nothing any more. */
export interface ProjectSpace {
  /** The space of a name, and the role of the context's actor in it; `not_found` unless they may see it. */
  find(name: string, ctx: CallContext): Promise<{ readonly id: string; readonly role: string }>;
  open(project: Project, step: Step): Promise<{ readonly conversation: string }>;
  giveBack(project: Project, step: Step): Promise<void>;
  ask(
    where: ProjectInput,
    question: { readonly conversation: string; readonly task: ProjectTask },
    step: Step,
  ): Promise<{ readonly turn: string; readonly answer: string }>;
  withdraw(where: ProjectInput, task: string, step: Step): Promise<void>;
  settle(
    where: ProjectInput,
    task: { readonly id: string; readonly end: TaskEnd; readonly answer: string },
    step: Step,
  ): Promise<void>;
  close(where: ProjectInput, counts: Readonly<Record<TaskEnd, number>>, step: Step): Promise<void>;
}

/** Removing what is kept of people. Again changes nothing. */
export interface Erasures {
  /** Nothing new is kept about the person from now on, and what there was is gone. */
  erasePerson(userId: string): Promise<void>;
  /** Empties turns of others that said what an erased person did. */
  forgetTurns(ids: readonly string[]): Promise<void>;
}
