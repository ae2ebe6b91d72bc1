import { AppError, type authV1 } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import type { LoginAttempt } from '../app/login.ts';
import type {
  Account,
  ApiToken,
  LoginPrincipal,
  OpenLogin,
  Principal,
  Revocation,
  Ticket,
} from '../app/ports.ts';
import type { SignedIn } from '../app/token-pair.ts';

/** The person a call acts for; `unauthenticated` for a call on behalf of nobody. */
export const principalOf = ({ actor }: CallContext): Principal => {
  if (!actor) throw new AppError('unauthenticated');
  return actor;
};

/** The person of a login; `forbidden` for an API token, which may not decide about logins and tokens. */
export const loginOf = (ctx: CallContext): LoginPrincipal => {
  const principal = principalOf(ctx);
  const { sessionId } = principal;
  if (!sessionId) throw new AppError('forbidden', 'An API token cannot do this; sign in');
  return { ...principal, sessionId };
};

/** What registering and signing in have in common. */
export const fromAttempt = ({
  email,
  password,
  device,
  remoteAddress,
}: authV1.LoginRequest): LoginAttempt => ({
  email,
  password,
  device: device ?? { id: '', platform: '', name: '' },
  // As long as an address can be, without what a database cannot store.
  remoteAddress: remoteAddress.slice(0, 64).replace(/\p{Cc}/gu, ''),
});

/** A text that proto3 cannot leave out. */
export const optional = (text: string): string | undefined => (text === '' ? undefined : text);

export const toAccount = (account: Account): authV1.Account => account;

export const toSignedIn = ({ account, accessToken, refreshToken, expiresInS }: SignedIn) => ({
  account: toAccount(account),
  tokens: { accessToken, refreshToken, expiresInS },
});

export const toPrincipal = ({
  userId,
  sessionId,
  tokenId,
  scopes,
  expiresAtMs,
}: Ticket): authV1.Principal => ({
  userId,
  sessionId: sessionId ?? '',
  tokenId: tokenId ?? '',
  scopes: [...scopes],
  expiresAtMs,
});

export const toApiToken = ({ id, name, scopes, createdAtMs, expiresAtMs }: ApiToken): authV1.ApiToken => ({
  id,
  name,
  scopes: [...scopes],
  createdAtMs,
  expiresAtMs: expiresAtMs ?? 0,
});

export const toLoginSession = ({ device, ...login }: OpenLogin): authV1.LoginSession => ({
  ...login,
  device: device.id === '' && device.platform === '' && device.name === '' ? undefined : device,
});

export const toRevocation = (revocation: Revocation): authV1.WatchRevocationsResponse => ({
  sessionId: '',
  tokenId: '',
  userId: '',
  beforeMs: 0,
  ...revocation,
});
