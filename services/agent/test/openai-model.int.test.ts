import { rootContext } from '@skein/rpc';
import { type FakeChatCompletions, fakeChatCompletions } from '@skein/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openAiModel } from '../src/adapters/openai-model.ts';
import type { HistoryMessage, ModelPart, Session } from '../src/app/ports.ts';
import { personaOf } from '../src/domain/persona.ts';
import type { Turn } from '../src/domain/turn.ts';

const turn: Turn = {
  id: 't1',
  space: 's1',
  conversationId: 'c1',
  questionId: 'q2',
  messageId: 'a2',
  userId: 'u1',
  persona: 'coordinator',
  traceparent: undefined,
  state: 'streaming',
  text: '',
};

const at = Date.UTC(2026, 4, 17);
const history: readonly HistoryMessage[] = [
  { id: 'q1', role: 'user', text: 'Where is my bowl?', timeMs: at },
  { id: 'a1', role: 'assistant', text: 'On the shelf.', timeMs: at },
  { id: 'q2', role: 'user', text: 'Which colour is it?', timeMs: at },
];
const found = [
  { id: 'm1', role: 'user' as const, text: 'My bowl is blue.', timeMs: at, conversationId: 'c0' },
  { id: 'm2', role: 'assistant' as const, text: 'I will remember.', timeMs: at, conversationId: 'c0' },
  { id: 'm3', role: 'user' as const, text: 'Where is my bowl?', timeMs: at, conversationId: 'c1' },
];

let memoryEnabled: boolean;
const never = async () => {
  throw new Error('a model has no business here');
};
const session: Session = {
  roleIn: never,
  start: never,
  end: never,
  publishTokens: never,
  notes: never,
  history: async () => history,
  search: async () => found,
  memoryEnabled: async () => memoryEnabled,
};

let endpoint: FakeChatCompletions;
beforeEach(async () => {
  memoryEnabled = true;
  endpoint = await fakeChatCompletions({ models: ['small'], apiKey: 'key' });
});
afterEach(() => endpoint[Symbol.asyncDispose]());

const modelWith = (over: { model?: string; apiKey?: string; baseUrl?: string } = {}) =>
  openAiModel({ session, baseUrl: endpoint.url, model: 'small', apiKey: 'key', ...over });

const ctxWith = (signal?: AbortSignal) => rootContext({ timeoutMs: 10_000, ...(signal ? { signal } : {}) });

const collect = async (parts: AsyncIterable<ModelPart>) => {
  const all: ModelPart[] = [];
  for await (const part of parts) all.push(part);
  return all;
};
const textOf = (parts: readonly ModelPart[]) =>
  parts.map((part) => ('text' in part ? part.text : '')).join('');

describe('an answer by an OpenAI-compatible endpoint', () => {
  it('is passed on piece by piece, while the endpoint still writes', async () => {
    const gate = Promise.withResolvers<void>();
    endpoint.answer({ pieces: ['It is ', gate.promise, 'blue.'] });
    const parts = modelWith().answer(turn, ctxWith())[Symbol.asyncIterator]();
    expect((await parts.next()).value).toEqual({ text: 'It is ' });
    expect(endpoint.requests[0]?.outcome).toBe('streaming');
    gate.resolve();
    expect((await parts.next()).value).toEqual({ text: 'blue.' });
    expect((await parts.next()).value).toMatchObject({ meta: { usage: expect.anything() } });
    expect((await parts.next()).done).toBe(true);
  });

  it('is asked for with the persona, what the person told earlier, and the conversation so far', async () => {
    await collect(modelWith().answer(turn, ctxWith()));
    const [request] = endpoint.requests;
    expect(request?.authorization).toBe('Bearer key');
    expect(request?.body.model).toBe('small');
    const [system, ...rest] = request?.body.messages ?? [];
    expect(system).toEqual({
      role: 'system',
      content: `${personaOf('coordinator').instructions}\n\nThe person told you earlier:\n- 2026-05-17: My bowl is blue.`,
    });
    expect(rest).toEqual(history.map(({ role, text }) => ({ role, content: text })));
  });

  it('is asked for without earlier conversations when the person has switched memory off', async () => {
    memoryEnabled = false;
    await collect(modelWith().answer(turn, ctxWith()));
    expect(endpoint.requests[0]?.body.messages[0]).toEqual({
      role: 'system',
      content: personaOf('coordinator').instructions,
    });
  });

  it('ends quietly when it is cancelled, and hangs up on the endpoint', async () => {
    endpoint.answer({ pieces: ['It ', new Promise(() => {})] });
    const cancel = new AbortController();
    const parts = modelWith().answer(turn, ctxWith(cancel.signal))[Symbol.asyncIterator]();
    expect((await parts.next()).value).toEqual({ text: 'It ' });
    const next = parts.next();
    cancel.abort();
    expect((await next).done).toBe(true);
    await expect.poll(() => endpoint.requests[0]?.outcome).toBe('left');
  });

  it.each([
    ['the endpoint fails', { status: 500 }],
    ['the endpoint is over its quota', { status: 429 }],
    ['the connection breaks in the middle', { pieces: ['It is '], end: 'cut' as const }],
  ])('fails as unavailable when %s', async (_what, answer) => {
    endpoint.answer(answer);
    await expect(collect(modelWith().answer(turn, ctxWith()))).rejects.toMatchObject({
      code: 'unavailable',
      detail: 'The model small did not answer.',
      cause: expect.anything(),
    });
  });

  it.each([
    ['the model is not known there', { model: 'large' }],
    ['the key is wrong', { apiKey: 'other' }],
    ['nobody listens', { baseUrl: 'http://127.0.0.1:9/v1' }],
  ])('fails as unavailable when %s', async (_what, over) => {
    await expect(collect(modelWith(over).answer(turn, ctxWith()))).rejects.toMatchObject({
      code: 'unavailable',
    });
  });

  it('keeps what came before a break', async () => {
    endpoint.answer({ pieces: ['It ', 'is '], end: 'cut' });
    const seen: ModelPart[] = [];
    await expect(
      (async () => {
        for await (const part of modelWith().answer(turn, ctxWith())) seen.push(part);
      })(),
    ).rejects.toMatchObject({ code: 'unavailable' });
    expect(textOf(seen)).toBe('It is ');
  });

  it('is not taken for complete when the endpoint stops without saying that it is done', async () => {
    endpoint.answer({ pieces: ['It is '], end: 'short' });
    await expect(collect(modelWith().answer(turn, ctxWith()))).rejects.toMatchObject({ code: 'unavailable' });
  });
});
