import { AppError } from '@skein/contracts';
import type { Clock } from '@skein/service-kit';
import type { Call, Principal, Secrets, Store, Ticket } from './ports.ts';

/** A browser opens its socket at once: a ticket found later in a log is worth nothing. */
const ticketTtlMs = 30_000;

interface Deps {
  readonly store: Store;
  readonly secrets: Secrets;
  readonly clock: Clock;
  /** How long a socket may stay open before its person must show a fresh access token. */
  readonly accessTtlMs: number;
}

/** Makes a single-use ticket that speaks for the caller's login or API token. */
export const createTicket =
  ({ store, secrets, clock }: Omit<Deps, 'accessTtlMs'>) =>
  async ({
    userId,
    sessionId,
    tokenId,
    scopes,
  }: Principal): Promise<{ ticket: string; expiresInS: number }> => {
    const ticket = secrets.newToken();
    await store.tickets.add(secrets.hash(ticket), {
      userId,
      sessionId,
      tokenId,
      scopes,
      expiresAtMs: clock.now() + ticketTtlMs,
    });
    return { ticket, expiresInS: ticketTtlMs / 1000 };
  };

/**
 * Consumes a ticket and says for whom it speaks, and until when that holds without being renewed. `ticket_invalid`
 * for an unknown, used or late one, and for one whose login or token has ended since.
 */
export const redeemTicket =
  ({ store, secrets, clock, accessTtlMs }: Deps) =>
  async (text: string, call: Call): Promise<Ticket> => {
    const nowMs = clock.now();
    const ticket = await store.transaction(async ({ tickets, sessions, apiTokens }) => {
      const taken = await tickets.take(secrets.hash(text));
      if (!taken || nowMs >= taken.expiresAtMs) return undefined;
      const { sessionId, tokenId } = taken;
      const renewMs = nowMs + accessTtlMs;
      if (sessionId !== undefined) {
        const [live] = await sessions.live([sessionId], nowMs);
        return live === undefined ? undefined : { ...taken, expiresAtMs: renewMs };
      }
      const [token] = await apiTokens.live(tokenId === undefined ? [] : [tokenId], nowMs);
      return token && { ...taken, expiresAtMs: Math.min(token.expiresAtMs ?? renewMs, renewMs) };
    }, call.signal);
    if (!ticket) throw new AppError('ticket_invalid');
    return ticket;
  };
