import { AppError, type FieldError, isCode } from '@skein/contracts';
import type { Call, Identities, Identity, Linking, PlatformAccount } from './ports.ts';

interface Deps {
  readonly identities: Identities;
  readonly newId: () => string;
  readonly codes: LinkCodes;
}

/** Codes people can read to each other. */
export interface LinkCodes {
  make(): string;
  /** What is stored of a code, however it was typed. */
  hash(code: string): Buffer;
}

interface LinkCall extends Call {
  readonly correlationId: string;
}

/** A code that is made, and how long it is good. */
export interface MadeCode {
  readonly code: string;
  readonly expiresInS: number;
}

const lifeMs = 600_000;
const maxAccount = 200;
const maxCode = 64;
const platformShape = /^[a-z][a-z0-9-]{0,31}$/;

const checkedAccount = (given: PlatformAccount | undefined): PlatformAccount => {
  const { platform = '', account = '', name = '' } = given ?? {};
  const errors: FieldError[] = [];
  if (!platformShape.test(platform))
    errors.push({ path: 'platform', message: 'must be a short name in lower case' });
  if (account === '' || account.length > maxAccount || /\p{Cc}/u.test(account))
    errors.push({ path: 'account', message: `must have 1 to ${maxAccount} printable characters` });
  if (name.length > maxAccount || /\p{Cc}/u.test(name))
    errors.push({ path: 'name', message: `must have at most ${maxAccount} printable characters` });
  if (errors.length > 0) throw new AppError('invalid_request', undefined, { errors });
  return { platform, account, name };
};

/** What became of a link; a refusal is the caller's fault, with the code of the step that refused. */
const ended = async ({ sagaId, end }: Linking): Promise<{ sagaId: string; linked: boolean }> => {
  const became = await end();
  if (!became || became.done) return { sagaId, linked: became !== undefined };
  const { code = 'internal', detail } = became.failure ?? {};
  throw new AppError(isCode(code) ? code : 'internal', detail);
};

/** Linking people with their accounts on other platforms. */
export const identityUseCases = ({ identities, newId, codes }: Deps) => {
  const makeCode = async (of: { readonly userId: string } | PlatformAccount): Promise<MadeCode> => {
    const code = codes.make();
    await identities.addCode({ id: newId(), hash: codes.hash(code), of, lifeMs });
    return { code, expiresInS: lifeMs / 1_000 };
  };
  const link = async (
    by: string,
    code: string,
    half: { readonly userId: string } | PlatformAccount,
    { correlationId, idempotencyKey }: LinkCall,
  ) => {
    if (code === '' || code.length > maxCode) throw new AppError('not_found', unknownCode);
    const key = idempotencyKey === undefined ? undefined : `${by}:${idempotencyKey}`.slice(0, 255);
    return ended(await identities.begin(codes.hash(code), half, { correlationId, key }));
  };
  return {
    createLinkCode: (userId: string) => makeCode({ userId }),
    createAccountCode: (given: PlatformAccount | undefined) => makeCode(checkedAccount(given)),
    linkByCode: (userId: string, code: string, call: LinkCall) => link(userId, code, { userId }, call),
    linkAccount: (channel: string, code: string, given: PlatformAccount | undefined, call: LinkCall) =>
      link(channel, code, checkedAccount(given), call),
    list: (userId: string): Promise<readonly Identity[]> => identities.list(userId),
    unlink: async (userId: string, platform: string, { correlationId }: LinkCall): Promise<void> => {
      if (!(await identities.unlink(userId, platform, correlationId)))
        throw new AppError('not_found', 'There is no linked account on this platform');
    },
  };
};

/** What somebody with a wrong code is told; nobody learns whether it ever was one. */
export const unknownCode = 'This code is unknown, used or expired';
