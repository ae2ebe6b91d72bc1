import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { useMesh } from './use-mesh.ts';
import { openWayIn, register, type WayIn } from './way-in.ts';

useMesh();

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** An access token as ours are, signed by somebody else. */
const forged = (claims: Readonly<Record<string, unknown>>, kid: string): string => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const exp = Math.floor(Date.now() / 1000) + 600;
  const body = `${encode({ alg: 'EdDSA', typ: 'at+jwt', kid })}.${encode({ iss: 'skein', sub: 'somebody', exp, ...claims })}`;
  return `${body}.${sign(null, Buffer.from(body), privateKey).toString('base64url')}`;
};

const me = (wayIn: WayIn, token?: string) => wayIn.ask('GET', '/v1/me', token === undefined ? {} : { token });

/** Frames of a socket until the answer is complete. */
const answer = (socket: WebSocket, token: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const send = (frame: unknown): void => socket.send(JSON.stringify(frame));
    socket.once('error', reject);
    socket.once('close', (code) => reject(new Error(`the socket was closed with ${code}`)));
    socket.once('open', () =>
      send({ type: 'hello', id: '1', v: 1, token, device: { id: 'ingress', platform: 'cli' } }),
    );
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data));
      if (frame.type === 'error') reject(new Error(`refused: ${frame.code}`));
      if (frame.type === 'welcome') {
        const message = { space: frame.streams[0].space, clientMessageId: crypto.randomUUID() };
        send({ type: 'message', id: '2', ...message, text: 'Hello, is anybody there?' });
      }
      if (frame.type === 'event' && frame.event.type === 'message.completed') resolve(frame.event.data.text);
    });
  });

describe('the way in through Istio', () => {
  it('lets a person register, connect by WebSocket and be answered', async () => {
    await using wayIn = await openWayIn();
    const token = await register(wayIn);
    const socket = wayIn.socket('/v1/connect');
    expect(await answer(socket, token)).not.toBe('');
    socket.removeAllListeners('close').close();
  });

  it('passes a token of ours', async () => {
    await using wayIn = await openWayIn();
    expect(await me(wayIn, await register(wayIn))).toMatchObject({ status: 200 });
  });

  it('passes no token where none is needed, and leaves the refusal to the gateway where one is', async () => {
    await using wayIn = await openWayIn();
    expect(await wayIn.ask('GET', '/.well-known/jwks.json')).toMatchObject({ status: 200 });
    expect(await me(wayIn)).toMatchObject({
      status: 401,
      type: expect.stringContaining('application/problem+json'),
    });
  });

  it('refuses a forged token before the gateway sees it: another key, a changed claim, another issuer', async () => {
    await using wayIn = await openWayIn();
    const own = await register(wayIn);
    const [head = '', claims = '', signature = ''] = own.split('.');
    const { kid } = JSON.parse(Buffer.from(head, 'base64url').toString());
    const changed = { ...JSON.parse(Buffer.from(claims, 'base64url').toString()), sub: 'somebody-else' };
    const failed = 'Jwt verification fails';
    const bad = [
      ['a key that is not ours', forged({}, 'unknown'), "Jwks doesn't have key to match kid or alg from Jwt"],
      ['the name of our key', forged({}, kid), failed],
      ['a changed claim', `${head}.${encode(changed)}.${signature}`, failed],
      ['another issuer', forged({ iss: 'elsewhere' }, kid), 'Jwt issuer is not configured'],
    ] as const;
    for (const [what, token, says] of bad) {
      const { status, type, body } = await me(wayIn, token);
      // The answer is Envoy's own: plain text, not our problem document.
      expect({ what, status, type, body }).toEqual({ what, status: 401, type: 'text/plain', body: says });
    }
  });
});
