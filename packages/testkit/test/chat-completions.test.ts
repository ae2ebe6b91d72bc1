import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FakeChatCompletions, fakeChatCompletions } from '../src/index.ts';

let fake: FakeChatCompletions;
beforeEach(async () => {
  fake = await fakeChatCompletions({ models: ['small'], apiKey: 'key' });
});
afterEach(() => fake[Symbol.asyncDispose]());

const ask = (body: unknown, init: RequestInit = {}) =>
  fetch(`${fake.url}/chat/completions`, {
    method: 'POST',
    headers: { authorization: 'Bearer key', 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...init,
  });
const question = { model: 'small', stream: true, messages: [{ role: 'user', content: 'Hi' }] };

/** The data of each server-sent event. */
const dataOf = (text: string) =>
  text.split('\n\n').flatMap((one) => (one ? [one.slice('data: '.length)] : []));

const contentOf = (text: string) =>
  dataOf(text)
    .filter((data) => data !== '[DONE]')
    .map((data) => JSON.parse(data) as { choices: { delta: { content?: string } }[] })
    .map((chunk) => chunk.choices[0]?.delta.content ?? '')
    .join('');

describe('the fake of a chat completions endpoint', () => {
  it('streams the queued answers in turn, each to its end, and says ok after them', async () => {
    fake.answer({ pieces: ['Good ', 'morning'] });
    const first = await ask(question);
    expect(first.headers.get('content-type')).toBe('text/event-stream');
    const text = await first.text();
    expect(contentOf(text)).toBe('Good morning');
    expect(dataOf(text).at(-1)).toBe('[DONE]');
    expect(text).toContain('"finish_reason":"stop"');
    expect(contentOf(await (await ask(question)).text())).toBe('ok');
    expect(fake.requests.map((one) => one.outcome)).toEqual(['answered', 'answered']);
    expect(fake.requests[0]?.body).toEqual(question);
    expect(fake.requests[0]?.authorization).toBe('Bearer key');
  });

  it('waits for a promise among the pieces', async () => {
    const gate = Promise.withResolvers<void>();
    fake.answer({ pieces: ['before', gate.promise, ' after'] });
    const response = await ask(question);
    const reader = (response.body as ReadableStream<Uint8Array>)
      .pipeThrough(new TextDecoderStream())
      .getReader();
    let text = '';
    while (!text.includes('before')) text += (await reader.read()).value ?? '';
    expect(fake.requests[0]?.outcome).toBe('streaming');
    gate.resolve();
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
    expect(contentOf(text)).toBe('before after');
  });

  it('breaks the connection after the pieces when told to', async () => {
    fake.answer({ pieces: ['half'], end: 'cut' });
    await expect((await ask(question)).text()).rejects.toThrow();
    expect(fake.requests[0]?.outcome).toBe('cut');
  });

  it('ends without a finish when told to', async () => {
    fake.answer({ pieces: ['half'], end: 'short' });
    const text = await (await ask(question)).text();
    expect(contentOf(text)).toBe('half');
    expect(text).not.toContain('stop');
    expect(text).not.toContain('[DONE]');
  });

  it('notices that the client hangs up', async () => {
    fake.answer({ pieces: ['a', new Promise(() => {})] });
    const leave = new AbortController();
    await ask(question, { signal: leave.signal });
    leave.abort();
    await expect.poll(() => fake.requests[0]?.outcome).toBe('left');
  });

  it('refuses with the status it was told', async () => {
    fake.answer({ status: 500 });
    const response = await ask(question);
    expect(response.status).toBe(500);
    expect(await response.json()).toMatchObject({ error: { message: expect.any(String) } });
    expect(fake.requests[0]?.outcome).toBe('refused');
  });

  it.each([
    ['a body that is no JSON', { body: '{' }, 400],
    ['an unknown model', { body: JSON.stringify({ ...question, model: 'large' }) }, 404],
    ['no messages', { body: JSON.stringify({ ...question, messages: [] }) }, 400],
    [
      'a message without content',
      { body: JSON.stringify({ ...question, messages: [{ role: 'user' }] }) },
      400,
    ],
    ['a request that does not stream', { body: JSON.stringify({ ...question, stream: false }) }, 400],
    ['another key', { headers: { authorization: 'Bearer other' } }, 401],
    ['another method', { method: 'PUT' }, 404],
  ])('refuses %s as the real one does', async (_what, init, status) => {
    const response = await ask(question, init);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { message: expect.any(String) } });
    expect(fake.requests).toEqual([]);
  });
});
