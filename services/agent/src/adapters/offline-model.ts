import { must } from '@skein/service-kit';
import type { Model, Session } from '../app/ports.ts';
import { matching } from '../domain/matching.ts';
import { offlineAnswer, pieces } from '../domain/offline-answer.ts';
import { personaOf } from '../domain/persona.ts';

/** What the built-in answerer needs. */
export interface OfflineModelOptions {
  readonly session: Session;
  /** Between two pieces, so that an answer can be watched and stopped. */
  readonly paceMs: () => number;
  readonly delay: (ms: number) => Promise<void>;
}

const historyLimit = 50;
const searchLimit = 8;
const notesLimit = 200;
const quotedAtMost = 3;

/**
 * Answers without a language model: looks for the question in the person's own messages and notes and quotes
 * what it used. Says that it is offline, in the text and in the facts shown with it.
 */
export const offlineModel = ({ session, paceMs, delay }: OfflineModelOptions): Model => ({
  name: 'skein-offline',
  answer: async function* (turn, ctx) {
    const history = await session.history(turn, historyLimit, ctx);
    const question = must(
      history.find((message) => message.id === turn.questionId) ??
        history.findLast((message) => message.role === 'user'),
      'a turn has a question',
    );
    const memory = await session.memoryEnabled(turn, ctx);
    const hits = memory
      ? await session.search(turn, question.text, searchLimit, ctx)
      : matching(question.text, history, searchLimit);
    const found = hits
      .filter((hit) => hit.role === 'user' && hit.id !== question.id && hit.text !== question.text)
      .slice(0, quotedAtMost);
    const notes = memory
      ? matching(question.text, await session.notes(turn, notesLimit, ctx), quotedAtMost)
      : [];
    yield {
      meta: {
        offline: true,
        sources: [
          ...found.map(({ id }) => ({ message: id })),
          ...notes.map(({ title }) => ({ note: title })),
        ],
      },
    };
    const answer = offlineAnswer({
      personaName: personaOf(turn.persona).name,
      question: question.text,
      found,
      notes,
      memory,
    });
    for (const piece of pieces(answer)) {
      if (ctx.signal.aborted) return;
      yield { text: piece };
      await delay(paceMs());
    }
  },
});
