import { z } from 'zod';
import { time } from './basics.ts';

const platform = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,31}$/, 'must be a short name in lower case')
  .describe('Such as `telegram`');
const code = z.string().min(1).max(64).describe('Good for ten minutes and one link');

/** An account as its platform knows it. */
const account = {
  platform,
  account: z.string().min(1).max(200).describe('Id of the account there'),
  name: z.string().max(200).optional().describe('As people there see it'),
};

/** An account of a person on another platform. */
export const identity = z.object({ ...account, linkedAt: time }).meta({ id: 'Identity' });

/** A code to link an account with. */
export const linkCode = z.object({
  code,
  expiresIn: z.int().describe('Seconds'),
});

/** POST /v1/me/identities */
export const codeFromChannel = z.object({ code });

/** POST /v1/channels/link-codes */
export const channelAccount = z.object(account);

/** POST /v1/channels/identities */
export const codeFromPerson = z.object({ ...account, code });

/** A link that was made, or goes on. */
export const linkBegun = z.object({
  sagaId: z.string().describe('What becomes of it: GET /v1/sagas/{id}'),
  linked: z.boolean().describe('False when it takes longer than a few seconds'),
});

/** DELETE /v1/me/identities/{platform} */
export const identityPath = z.object({ platform });
