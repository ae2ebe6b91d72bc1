import { AppError } from '@skein/contracts';
import { rootContext } from '@skein/rpc';
import type { Request, RequestHandler, Response } from 'express';
import { actorOf, authorize, bearerToken } from '../auth/bearer.ts';
import type { Limits, Principal, TokenVerifier, Verdict } from '../ports.ts';
import { sendEvents, sendJson } from './answer.ts';
import { bodyLimits, readJsonBody } from './body.ts';
import { exchangeOf } from './exchange.ts';
import { restPlatform } from './origin.ts';
import { limited } from './problem.ts';
import { type Call, isEventStream, type Route } from './route.ts';
import { decode, idempotencyKeyOf, queryOf } from './validate.ts';

/** What every route needs. */
export interface HandlerDeps {
  readonly verifier: TokenVerifier;
  readonly limits: Limits;
  /** Deadline of a call; routes that wait for an answer have their own. */
  readonly callTimeoutMs: number;
  /** Deadline of routes with `waits`. */
  readonly waitTimeoutMs: number;
  /** Aborts when this process leaves: calls that only wait are told to come again. */
  readonly leaving: AbortSignal;
}

const pass = (verdict: Verdict): void => {
  if (!verdict.ok) throw limited('rate_limited', verdict.retryAfterMs);
};

/**
 * The principal of the request, if it has one. Whoever has not signed in, or fails to, is counted by address: a
 * signature check is not free.
 */
const authenticate = async (
  req: Request,
  row: Route,
  { verifier, limits }: HandlerDeps,
): Promise<Principal | undefined> => {
  const { address } = exchangeOf(req);
  let token: string | undefined;
  let principal: Principal | undefined;
  try {
    token = row.access === 'public' ? undefined : bearerToken(req);
    principal = token === undefined ? undefined : await verifier.verify(token);
  } catch (error) {
    pass(limits.anonymous(address));
    throw error;
  }
  if (!principal && !row.unlimited) pass(limits.anonymous(address));
  authorize(row.access, principal);
  if (!principal) return undefined;
  limits.unauthenticated.settle(req.socket);
  pass(limits.request(principal.userId));
  return principal;
};

/** Aborts when the client goes away before it is answered. */
const clientSignal = (res: Response): AbortSignal => {
  const controller = new AbortController();
  res.once('close', () => {
    if (!res.writableFinished) controller.abort(new AppError('cancelled'));
  });
  return controller.signal;
};

/** A row of the table as an Express handler: who, how often, what, the call, the answer. */
export const handlerOf = (row: Route, deps: HandlerDeps): RequestHandler => {
  const decodeCall = async (req: Request, res: Response, principal: Principal | undefined) => {
    const params = decode(row.params, { ...req.params }, 'params');
    const query = decode(row.query, queryOf(req), 'query');
    const idempotencyKey = row.repeat === 'key' ? idempotencyKeyOf(req) : '';
    const received = row.body ? await readJsonBody(req, bodyLimits[row.bodySize ?? 'small']) : undefined;
    const body = decode(row.body, received?.value, '');
    const client = clientSignal(res);
    const { address, requestId } = exchangeOf(req);
    const call: Call<unknown, unknown, unknown> = {
      params,
      query,
      body,
      rawBody: received?.text ?? '',
      principal,
      address,
      idempotencyKey,
      wantsEventStream: (req.headers.accept ?? '').includes('text/event-stream'),
      ctx: rootContext({
        actor: principal && { ...actorOf(principal), platform: restPlatform },
        timeoutMs: row.waits ? deps.waitTimeoutMs : deps.callTimeoutMs,
        signal: row.waits ? AbortSignal.any([client, deps.leaving]) : client,
        correlationId: requestId,
        idempotencyKey: idempotencyKey === '' ? undefined : idempotencyKey,
      }),
    };
    return call;
  };

  return async (req, res, next) => {
    const exchange = exchangeOf(req);
    exchange.route = row.path;
    if (row.raw) {
      // Express takes HEAD for GET; a stream without a body would only hold the connection.
      if (req.method === 'HEAD') throw new AppError('method_not_allowed', 'Allowed here: GET');
      return row.raw(req, res, next);
    }
    const principal = await authenticate(req, row, deps);
    if (principal) exchange.userId = principal.userId;
    const call = await decodeCall(req, res, principal);
    if (row.limit) pass(row.limit(deps.limits, call));
    const answer = await row.handle(call);
    if (isEventStream(answer)) await sendEvents(req, res, answer);
    else sendJson(req, res, row, answer);
  };
};
