import { createHmac, timingSafeEqual } from 'node:crypto';
import { AppError } from '@skein/contracts';
import { type Clock, systemClock } from '@skein/service-kit';
import type { Actor } from './call-context.ts';
import { lru } from './lru.ts';

/** Who a verified token speaks for. */
export interface Verified {
  /** Name of the calling service. */
  readonly caller: string;
  readonly actor: Actor | undefined;
}

/** Signs what this service sends and checks what it receives. */
export interface Identity {
  readonly service: string;
  /** A token for a call on behalf of `actor`, or of the service itself. */
  sign(actor: Actor | undefined): string;
  /** Who sent it; throws `unauthenticated` for anything forged, expired or of another audience. */
  verify(token: string | undefined): Verified;
}

/** What `identity` is made of. */
export interface IdentityOptions {
  /** The name this process signs as. */
  readonly service: string;
  /** Shared by all services of the mesh; at least 32 characters. */
  readonly secret: string;
  /** Another one whose tokens are accepted too, while the secret is being changed; never signed with. */
  readonly also?: string | undefined;
  readonly clock?: Clock;
}

const audience = 'skein-internal';
const lifetimeMs = 5 * 60_000;
/** A cached token is reused this long, so that every token on the wire has at least four minutes left. */
const reuseMs = 60_000;
/** Clocks of two machines may differ by this much. */
const leewayMs = 30_000;
/** Distinct people seen within a few minutes by one process; each entry is about 1 KB. */
const cacheSize = 10_000;
/** A real token has about 400 bytes; anything longer is not hashed at all. */
const maxTokenLength = 4_096;

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const header = encode({ alg: 'HS256', typ: 'JWT' });

interface Claims {
  readonly iss: string;
  readonly aud: string;
  readonly exp: number;
  readonly act?: {
    readonly sub: string;
    readonly sid?: string;
    readonly jti?: string;
    readonly scopes: readonly string[];
    readonly dev?: string;
    readonly plt?: string;
  };
}

const claimsOf = (actor: Actor): Claims['act'] => ({
  sub: actor.userId,
  ...(actor.sessionId === undefined ? {} : { sid: actor.sessionId }),
  ...(actor.tokenId === undefined ? {} : { jti: actor.tokenId }),
  scopes: actor.scopes,
  ...(actor.deviceId === undefined ? {} : { dev: actor.deviceId }),
  ...(actor.platform === undefined ? {} : { plt: actor.platform }),
});

const actorOf = (act: NonNullable<Claims['act']>): Actor => ({
  userId: act.sub,
  ...(act.sid === undefined ? {} : { sessionId: act.sid }),
  ...(act.jti === undefined ? {} : { tokenId: act.jti }),
  scopes: act.scopes,
  ...(act.dev === undefined ? {} : { deviceId: act.dev }),
  ...(act.plt === undefined ? {} : { platform: act.plt }),
});

/**
 * Internal identity by HS256 JWT: `{iss: service, aud: 'skein-internal', exp: +5 min, act?: {sub, sid, jti, scopes,
 * dev, plt}}`. It says which service calls and for whom, where no mesh proves it by mutual TLS. Signing and
 * verifying are cached; the comparison takes constant time; only this one algorithm exists.
 */
export const identity = ({ service, secret, also, clock = systemClock }: IdentityOptions): Identity => {
  const secrets = also === undefined ? [secret] : [secret, also];
  if (secrets.some(({ length }) => length < 32))
    throw new Error('The internal secret must be at least 32 characters long');
  const mac = (text: string, key = secret): Buffer => createHmac('sha256', key).update(text).digest();

  const issue = (actor: Actor | undefined, now: number): string => {
    const claims: Claims = {
      iss: service,
      aud: audience,
      exp: Math.floor((now + lifetimeMs) / 1000),
      ...(actor ? { act: claimsOf(actor) as NonNullable<Claims['act']> } : {}),
    };
    const body = `${header}.${encode(claims)}`;
    return `${body}.${mac(body).toString('base64url')}`;
  };

  interface Issued {
    readonly token: string;
    readonly until: number;
  }
  // By object first (a context that is passed on keeps its actor), by content for one made anew each time.
  let own: Issued | undefined;
  const byObject = new WeakMap<Actor, Issued>();
  const byContent = lru<Issued>(cacheSize);

  const sign = (actor: Actor | undefined): string => {
    const now = clock.now();
    const known = actor ? byObject.get(actor) : own;
    if (known && known.until > now) return known.token;
    if (!actor) {
      own = { token: issue(undefined, now), until: now + reuseMs };
      return own.token;
    }
    const content = JSON.stringify(claimsOf(actor));
    let issued = byContent.get(content);
    if (!issued || issued.until <= now) {
      issued = { token: issue(actor, now), until: now + reuseMs };
      byContent.set(content, issued);
    }
    byObject.set(actor, issued);
    return issued.token;
  };

  interface Known extends Verified {
    readonly expiresMs: number;
  }
  const verified = lru<Known>(cacheSize);
  const refuse = (): never => {
    throw new AppError('unauthenticated', 'The call carries no valid service identity');
  };

  const check = (token: string): Known => {
    if (token.length > maxTokenLength) return refuse();
    const [head, body, signature, rest] = token.split('.');
    if (head !== header || !body || !signature || rest !== undefined) return refuse();
    const given = Buffer.from(signature, 'base64url');
    const signedWith = (key: string): boolean => {
      const expected = mac(`${head}.${body}`, key);
      return given.length === expected.length && timingSafeEqual(given, expected);
    };
    if (!secrets.some(signedWith)) return refuse();
    // Signed by one of us: its shape needs no further doubt.
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as Claims;
    if (claims.aud !== audience) return refuse();
    return {
      caller: claims.iss,
      actor: claims.act ? actorOf(claims.act) : undefined,
      expiresMs: claims.exp * 1000 + leewayMs,
    };
  };

  return {
    service,
    sign,
    verify: (token) => {
      if (!token) return refuse();
      let known = verified.get(token);
      if (!known) {
        known = check(token);
        verified.set(token, known);
      }
      return known.expiresMs > clock.now() ? known : refuse();
    },
  };
};
