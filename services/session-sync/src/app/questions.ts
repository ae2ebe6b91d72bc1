import type { Appended } from '../domain/append-message.ts';
import { unchanged } from '../domain/decision.ts';
import type { Actor } from '../domain/event.ts';
import { keyOf } from '../domain/state.ts';
import { endTurn } from '../domain/turn.ts';
import type { AppendMessage } from './messages.ts';
import type { AppParts } from './parts.ts';
import { stepOnce, stepUndone } from './step-once.ts';
import type { Unit } from './writer.ts';

/** What an attempt of a step goes by, wherever its saga runs. */
export interface QuestionStep {
  /** `saga:step:direction`. */
  readonly key: string | undefined;
  readonly signal: AbortSignal;
  readonly correlationId: string;
}

/** What the agent is asked, in the name of a person. */
export interface Question {
  readonly space: string;
  readonly user: string;
  readonly device: string | undefined;
  readonly platform: string;
  /** The id of the person's message, by which the question is found again. */
  readonly id: string;
  /** Empty: the newest. */
  readonly conversationId: string;
  /** Empty: the session's. */
  readonly persona: string;
  readonly text: string;
  readonly attachments: string;
}

/** Where the question and its answer are. */
export interface Asked {
  readonly messageId: string;
  readonly conversationId: string;
  readonly turnId: string;
  readonly answerId: string;
}

/** What a step gave is remembered longer than its saga: ids only. */
const withoutPersona = (unit: Unit<Appended>): Unit<Appended> => ({
  ...unit,
  decide: (state, nowMs) => {
    const decision = unit.decide(state, nowMs);
    return 'refused' in decision ? decision : { ...decision, result: { ...decision.result, persona: '' } };
  },
});

/** Asking the agent as a step of a saga, once, and taking the question back. */
export const questions = ({
  writer,
  appendMessage,
}: Pick<AppParts, 'writer'> & { readonly appendMessage: AppendMessage }) => ({
  ask: async (question: Question, { key, signal, correlationId }: QuestionStep): Promise<Asked> => {
    const { user, device, platform, id, text, persona, conversationId, space, attachments } = question;
    const appended = await appendMessage(
      {
        ...{ userId: user, platform, signal, correlationId, traceparent: undefined },
        device: device === undefined ? undefined : { id: device, platform, name: '' },
      },
      { space, conversationId, clientMessageId: id, text, persona, attachments, reply: true },
      (unit) => stepOnce(withoutPersona(unit), key),
    );
    const { messageId, turnId = '', answerMessageId: answerId = '' } = appended;
    return { messageId, conversationId: appended.conversationId, turnId, answerId };
  },
  /** An answer on its way is cancelled; one that is there stays. */
  withdraw: async (
    asked: Pick<Question, 'space' | 'user' | 'id'>,
    { key, signal, correlationId }: QuestionStep,
  ): Promise<void> => {
    const clientMessage = { userId: asked.user, id: asked.id };
    const actor: Actor = { kind: 'system', platform: 'skein' };
    const unit = { space: asked.space, needs: { clientMessage }, correlationId };
    await writer.write(
      stepUndone(unit, key, (state, _, nowMs) => {
        const turnId = state.messages.get(keyOf(asked.user, asked.id))?.turnId ?? '';
        const ended = endTurn(state, { turnId, actor, outcome: 'cancelled', text: '', meta: {}, nowMs });
        // A turn that is not there any more needs no end.
        return 'refused' in ended ? unchanged(undefined) : ended;
      }),
      signal,
    );
  },
});
