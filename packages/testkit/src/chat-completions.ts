import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the endpoint says to one request. */
export interface ChatAnswer {
  /**
   * The text in the pieces it is streamed in. A promise among them holds the stream until it settles: that is how
   * an endpoint is slow here, without a clock.
   */
  readonly pieces?: readonly (string | Promise<unknown>)[];
  /** After the last piece: `done` (default), `cut` breaks the connection, `short` ends without saying so. */
  readonly end?: 'done' | 'cut' | 'short';
  /** Refuses with this HTTP status instead, in the error shape of the API. */
  readonly status?: number;
}

/** One request as it came, and what became of it. */
export interface ChatRequest {
  /** The parsed body. */
  readonly body: {
    readonly model: string;
    readonly messages: readonly { readonly role: string; readonly content: unknown }[];
    readonly [field: string]: unknown;
  };
  /** The Authorization header; empty when there was none. */
  readonly authorization: string;
  /** `left`: the client hung up before the end. */
  outcome: 'streaming' | 'answered' | 'refused' | 'cut' | 'left';
}

/** An OpenAI-compatible endpoint on loopback that says what it is told to. */
export interface FakeChatCompletions extends AsyncDisposable {
  /** Base URL with its `/v1`. */
  readonly url: string;
  /** The newest requests that were well formed, oldest first. */
  readonly requests: readonly ChatRequest[];
  /** Queues the answer to the next request without one. With nothing queued it says `ok`. */
  answer(answer: ChatAnswer): void;
}

/** What a fake accepts. */
export interface FakeChatCompletionsOptions {
  /** Models it has; others are refused with 404. Default: any. */
  readonly models?: readonly string[];
  /** Refuses other keys with 401. Default: none is asked for. */
  readonly apiKey?: string;
}

/** More than a test looks at; the oldest go first. */
const maxRequests = 200;
const maxQueued = 200;
/** Far above any prompt of ours. */
const maxBodyBytes = 4 * 1024 * 1024;

/** A refusal in the shape of the API. */
class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const send = (response: ServerResponse, status: number, body: unknown) => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
};

const bodyOf = async (request: IncomingMessage): Promise<ChatRequest['body']> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBodyBytes) throw new Refusal(413, 'The body is too large.');
    chunks.push(chunk);
  }
  let body: unknown;
  try {
    body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new Refusal(400, 'The body is not JSON.');
  }
  const { model, messages, stream } = (body ?? {}) as Record<string, unknown>;
  if (typeof model !== 'string') throw new Refusal(400, 'model must be a string.');
  const wellFormed = (one: { role?: unknown; content?: unknown } | null) =>
    typeof one?.role === 'string' && one.content !== undefined;
  if (!Array.isArray(messages) || messages.length === 0 || !messages.every(wellFormed))
    throw new Refusal(400, 'messages must be a list of messages with role and content.');
  if (stream !== true) throw new Refusal(400, 'This endpoint only streams: set stream to true.');
  return body as ChatRequest['body'];
};

/** Starts the endpoint on a free port of 127.0.0.1. Disposing it breaks what is under way. */
export const fakeChatCompletions = async (
  options: FakeChatCompletionsOptions = {},
): Promise<FakeChatCompletions> => {
  const requests: ChatRequest[] = [];
  const queue: ChatAnswer[] = [];
  let answered = 0;

  const stream = async (request: ChatRequest, answer: ChatAnswer, response: ServerResponse) => {
    const gone = new Promise<void>((resolve) => response.once('close', resolve));
    response.once('close', () => {
      if (request.outcome === 'streaming') request.outcome = 'left';
    });
    answered += 1;
    const id = `chatcmpl-${answered}`;
    const chunk = (more: Record<string, unknown>) => {
      const head = { id, object: 'chat.completion.chunk', created: 0, model: request.body.model };
      response.write(`data: ${JSON.stringify({ ...head, ...more })}\n\n`);
    };
    const delta = (what: Record<string, unknown>, reason: string | null = null) =>
      chunk({ choices: [{ index: 0, delta: what, finish_reason: reason }] });

    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    delta({ role: 'assistant', content: '' });
    let words = 0;
    for (const piece of answer.pieces ?? ['ok']) {
      if (typeof piece !== 'string') await Promise.race([piece, gone]);
      if (response.destroyed) return;
      if (typeof piece !== 'string') continue;
      words += 1;
      delta({ content: piece });
    }
    if (answer.end === 'cut') {
      request.outcome = 'cut';
      // The pieces leave first; then the connection breaks without the end of the body.
      response.write('', () => response.destroy());
      return;
    }
    request.outcome = 'answered';
    if (answer.end !== 'short') {
      delta({}, 'stop');
      const prompt = request.body.messages.length;
      const usage = { prompt_tokens: prompt, completion_tokens: words, total_tokens: prompt + words };
      chunk({ choices: [], usage });
      response.write('data: [DONE]\n\n');
    }
    response.end();
  };

  const handle = async (incoming: IncomingMessage, response: ServerResponse) => {
    const authorization = incoming.headers.authorization ?? '';
    if (options.apiKey !== undefined && authorization !== `Bearer ${options.apiKey}`)
      throw new Refusal(401, 'The key is not known here.');
    if (incoming.method !== 'POST' || incoming.url !== '/v1/chat/completions')
      throw new Refusal(404, `There is no ${incoming.method} ${incoming.url}.`);
    const body = await bodyOf(incoming);
    if (options.models && !options.models.includes(body.model))
      throw new Refusal(404, `The model ${body.model} does not exist.`);
    const request: ChatRequest = { body, authorization, outcome: 'streaming' };
    requests.push(request);
    if (requests.length > maxRequests) requests.shift();
    const answer = queue.shift() ?? {};
    if (answer.status !== undefined) {
      request.outcome = 'refused';
      throw new Refusal(answer.status, 'The endpoint was told to refuse this.');
    }
    await stream(request, answer, response);
  };

  const server = createServer((incoming, response) => {
    handle(incoming, response).catch((error: unknown) => {
      if (response.headersSent) return void response.destroy();
      const status = error instanceof Refusal ? error.status : 500;
      send(response, status, { error: { message: String(error), type: 'fake', code: null } });
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    answer: (answer) => {
      if (queue.length >= maxQueued) throw new Error(`more than ${maxQueued} answers are queued`);
      queue.push(answer);
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
