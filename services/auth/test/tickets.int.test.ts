import { describe, expect, it } from 'vitest';
import { call, codeOf, fakeClock, plainHasher, registered, startAuth } from './fixture.ts';

describe('a ticket', () => {
  it('speaks once for the login that made it', async () => {
    const clock = fakeClock();
    const { client } = await startAuth({ over: { clock, hasher: plainHasher } });
    const { actor } = await registered(client, { atMs: clock.now() });
    const { ticket, expiresInS } = await client.createTicket({}, call({ actor }));
    expect(expiresInS).toBe(30);
    const { principal } = await client.redeemTicket({ ticket }, call());
    expect(principal).toEqual({
      userId: actor.userId,
      sessionId: actor.sessionId,
      tokenId: '',
      scopes: ['session'],
      expiresAtMs: clock.now() + 600_000,
    });
    expect(await codeOf(client.redeemTicket({ ticket }, call()))).toBe('ticket_invalid');
  });

  it('is given to one of many who ask at once', async () => {
    const { client } = await startAuth({ over: { hasher: plainHasher } });
    const { actor } = await registered(client);
    const { ticket } = await client.createTicket({}, call({ actor }));
    const codes = await Promise.all(
      Array.from({ length: 20 }, () => codeOf(client.redeemTicket({ ticket }, call()))),
    );
    expect(codes.filter((code) => code === 'ok')).toHaveLength(1);
    expect(codes.filter((code) => code === 'ticket_invalid')).toHaveLength(19);
  });

  it('is worth nothing after thirty seconds', async () => {
    const clock = fakeClock();
    const { client } = await startAuth({ over: { clock, hasher: plainHasher } });
    const { actor } = await registered(client, { atMs: clock.now() });
    const { ticket } = await client.createTicket({}, call({ actor }));
    clock.advance(30_000);
    expect(await codeOf(client.redeemTicket({ ticket }, call()))).toBe('ticket_invalid');
  });

  it('is worth nothing once its login has ended', async () => {
    const { client } = await startAuth({ over: { hasher: plainHasher } });
    const { actor } = await registered(client);
    const { ticket } = await client.createTicket({}, call({ actor }));
    await client.logout({ everywhere: false }, call({ actor }));
    expect(await codeOf(client.redeemTicket({ ticket }, call()))).toBe('ticket_invalid');
  });

  it('of an API token ends with the token', async () => {
    const clock = fakeClock();
    const { client } = await startAuth({ over: { clock, hasher: plainHasher } });
    const { actor } = await registered(client, { atMs: clock.now() });
    const expiresAtMs = clock.now() + 60_000;
    const { apiToken } = await client.createApiToken(
      { name: 'bot', scopes: ['messages:write'], expiresAtMs },
      call({ actor }),
    );
    const bot = { userId: actor.userId, tokenId: apiToken?.id ?? '', scopes: ['messages:write'] };
    const [first, second] = [
      await client.createTicket({}, call({ actor: bot })),
      await client.createTicket({}, call({ actor: bot })),
    ];
    const { principal } = await client.redeemTicket({ ticket: first.ticket }, call());
    expect(principal).toMatchObject({ sessionId: '', tokenId: bot.tokenId, scopes: bot.scopes, expiresAtMs });
    await client.revokeApiToken({ id: bot.tokenId }, call({ actor }));
    expect(await codeOf(client.redeemTicket({ ticket: second.ticket }, call()))).toBe('ticket_invalid');
  });

  it('is made for somebody', async () => {
    const { client } = await startAuth();
    expect(await codeOf(client.createTicket({}, call()))).toBe('unauthenticated');
    expect(await codeOf(client.redeemTicket({ ticket: 'nonsense' }, call()))).toBe('ticket_invalid');
  });
});
