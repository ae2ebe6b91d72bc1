// helm test: a person registers, connects, says something and is answered; and what must be refused is refused.
import { randomUUID } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { connect } from 'node:http2';
import { connect as connectSocket } from 'node:net';

const gateway = process.env.GATEWAY_URL;
const callee = process.env.FORBIDDEN_URL;
const method = process.env.FORBIDDEN_METHOD;
const limitMs = Number(process.env.TEST_SECONDS ?? 90) * 1000;
const started = performance.now();

const say = (text) => console.log(`${((performance.now() - started) / 1000).toFixed(1)} s  ${text}`);
const wanted = (holds, text) => {
  if (!holds) throw new Error(text);
};
const post = (path, body, headers = {}) =>
  fetch(`${gateway}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(15_000),
  });

/**
 * What the gateway answers once it is reached and reaches others. A pod that has only just started may not be let through
 * yet: whoever enforces network policies learns its address a moment later, and so does who looks for services.
 */
const settled = async (ask) => {
  for (;;) {
    const early = performance.now() - started < Math.min(20_000, limitMs / 3);
    try {
      const response = await ask();
      if (response.status !== 503 || !early) return response;
    } catch (error) {
      if (!early) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
};

/** A new person's access token. */
const register = async () => {
  const response = await settled(() =>
    post('/v1/auth/register', {
      email: `helm-test-${randomUUID()}@example.invalid`,
      password: randomUUID(),
      displayName: 'helm test',
    }),
  );
  const text = await response.text();
  wanted(response.status === 201, `register was answered ${response.status}: ${text.slice(0, 300)}`);
  say('a person is registered');
  return JSON.parse(text).accessToken;
};

/** Connects, sends one message and resolves with the answer's text. */
const converse = (token) =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(`${gateway.replace(/^http/, 'ws')}/v1/connect`);
    const send = (frame) => socket.send(JSON.stringify(frame));
    const end = (settle, value) => {
      settle(value);
      socket.close();
    };
    socket.onopen = () =>
      send({ type: 'hello', id: '1', v: 1, token, device: { id: 'helm-test', platform: 'cli' } });
    socket.onerror = () => reject(new Error('the socket failed'));
    socket.onclose = ({ code }) => reject(new Error(`the socket was closed with ${code}`));
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.type === 'error') end(reject, new Error(`refused: ${frame.code} ${frame.message}`));
      if (frame.type === 'welcome') {
        say(`connected as ${frame.connection}`);
        const { space } = frame.streams[0];
        send({
          type: 'message',
          id: '2',
          space,
          clientMessageId: randomUUID(),
          text: 'Hello, is anybody there?',
        });
      }
      if (frame.type !== 'event') return;
      const { type, data: told } = frame.event;
      if (type === 'message.created') say('the message is stored');
      if (type === 'turn.failed') end(reject, new Error('the answer failed'));
      if (type === 'message.completed') end(resolve, told.text);
    };
  });

/** The address of the callee. A name that is not found is a failure: no network has refused anything then. */
const addressOf = async (hostname) => {
  try {
    return (await lookup(hostname)).address;
  } catch (error) {
    throw new Error(`${hostname} was not found (${error.code}), so nothing was proved`);
  }
};

/** Calls a method as nobody and says who refused it; an answer is a failure. */
const callAsNobody = async () => {
  const { hostname, port } = new URL(callee);
  const address = await addressOf(hostname);
  return await new Promise((resolve, reject) => {
    const session = connect(callee, { createConnection: () => connectSocket(Number(port), address) });
    const end = (settle, value) => {
      clearTimeout(timer);
      session.destroy();
      settle(value);
    };
    // Where packets are dropped nothing ever comes back.
    const timer = setTimeout(() => end(resolve, 'the network (nothing came back)'), 5_000);
    session.once('error', (error) => end(resolve, `the network (${error.code})`));
    session.once('connect', () => {
      const call = session.request({
        ':method': 'POST',
        ':path': method,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      let headers = {};
      const refused = (found) => {
        const status = found['grpc-status'];
        if (headers[':status'] === 403 || status === '7') end(resolve, 'the mesh (permission denied)');
        else if (status === '16') end(resolve, 'the service (no token of a service)');
        else if (status === '14' || headers[':status'] === 503) end(resolve, 'the mesh (unavailable)');
        else if (status !== undefined) end(reject, new Error(`${method} was answered with status ${status}`));
      };
      call.once('response', (found) => {
        headers = found;
        refused(found);
      });
      call.once('trailers', refused);
      call.once('error', (error) => end(resolve, `the mesh (${error.code})`));
      call.resume();
      call.end(Buffer.alloc(5));
    });
  });
};

const limit = setTimeout(() => {
  console.error(`not finished after ${limitMs / 1000} s`);
  process.exit(1);
}, limitMs);

try {
  const stranger = await settled(() => fetch(`${gateway}/v1/me`, { signal: AbortSignal.timeout(15_000) }));
  wanted(stranger.status === 401, `GET /v1/me without a token was answered ${stranger.status}, not 401`);
  say('refused without a token');

  const answer = await converse(await register());
  wanted(answer.length > 0, 'the answer is empty');
  say(`answered: ${JSON.stringify(answer.slice(0, 80))}`);

  say(`a call that nobody may make was refused by ${await callAsNobody()}`);
} catch (error) {
  console.error(
    `FAILED: ${error.message}${error.cause ? ` (${error.cause.code ?? error.cause.message})` : ''}`,
  );
  process.exitCode = 1;
} finally {
  clearTimeout(limit);
}
