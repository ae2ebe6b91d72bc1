import { AppError } from '@skein/contracts';
import type { Model, Session } from '../app/ports.ts';
import { personaOf } from '../domain/persona.ts';

/** Which endpoint answers. */
export interface OpenAiModelOptions {
  readonly session: Session;
  /** Base URL of an OpenAI-compatible API, such as `http://127.0.0.1:11434/v1` for Ollama. */
  readonly baseUrl: string;
  readonly model: string;
  /** Empty for endpoints without one. */
  readonly apiKey: string;
}

const historyLimit = 30;
const remembered = 5;

/** Answers by a language model behind an OpenAI-compatible endpoint, streamed. The provider is loaded at first use. */
export const openAiModel = ({ session, baseUrl, model, apiKey }: OpenAiModelOptions): Model => ({
  name: model,
  answer: async function* (turn, ctx) {
    const { createOpenAICompatible } = await import('@ai-sdk/openai-compatible');
    const provider = createOpenAICompatible({
      name: 'skein',
      baseURL: baseUrl,
      ...(apiKey === '' ? {} : { apiKey }),
    });
    const history = await session.history(turn, historyLimit, ctx);
    const question = history.find((message) => message.id === turn.questionId);
    const memory =
      question && (await session.memoryEnabled(turn, ctx))
        ? await session.search(turn, question.text, remembered, ctx)
        : [];
    const earlier = memory.filter((one) => one.conversationId !== turn.conversationId && one.role === 'user');
    const known = earlier
      .map((one) => `- ${new Date(one.timeMs).toISOString().slice(0, 10)}: ${one.text}`)
      .join('\n');
    const instructions = personaOf(turn.persona).instructions;
    try {
      const { stream } = await provider.chatModel(model).doStream({
        prompt: [
          {
            role: 'system',
            content:
              known === '' ? instructions : `${instructions}\n\nThe person told you earlier:\n${known}`,
          },
          ...history.map((message) => ({
            role: message.role,
            content: [{ type: 'text' as const, text: message.text }],
          })),
        ],
        abortSignal: ctx.signal,
      });
      for await (const part of stream) {
        if (part.type === 'text-delta') yield { text: part.delta };
        if (part.type === 'error') throw part.error;
        if (part.type === 'finish') yield { meta: { usage: part.usage } };
      }
    } catch (error) {
      if (ctx.signal.aborted) return;
      throw new AppError('unavailable', `The model ${model} did not answer.`, { cause: error });
    }
  },
});
