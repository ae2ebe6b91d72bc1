import { z } from 'zod';
import { scopes } from '../route.ts';
import { device, freeObject, id, slug, time } from './basics.ts';

const email = z
  .string()
  .max(254)
  .regex(/^[^\s@]+@[^\s@]+$/, 'must be an e-mail address');
// Long passphrases are welcome; the bound keeps hashing cheap for us.
const newPassword = z.string().min(8).max(256);

/** POST /v1/auth/register */
export const register = z.object({
  email,
  password: newPassword,
  displayName: z.string().trim().min(1).max(100).optional(),
  device: device.optional(),
});

/** POST /v1/auth/login */
export const login = z.object({ email, password: z.string().min(1).max(256), device: device.optional() });

/** POST /v1/auth/refresh */
export const refresh = z.object({ refreshToken: z.string().min(1).max(1_024) });

/** POST /v1/auth/logout */
export const logout = z
  .object({
    everywhere: z.boolean().optional(),
    tokens: z.boolean().optional().describe('With `everywhere`: every API token ends too'),
  })
  .refine(({ everywhere, tokens }) => everywhere || !tokens, {
    path: ['tokens'],
    message: 'goes with everywhere',
  })
  .optional();

/** The account in answers of sign-in calls. */
export const user = z
  .object({ id, email: z.string(), displayName: z.string(), createdAt: time })
  .meta({ id: 'User' });

/** What every sign-in call answers. */
export const signedIn = z
  .object({
    user,
    accessToken: z.string(),
    refreshToken: z.string(),
    expiresIn: z.int().describe('Lifetime of the access token in seconds'),
  })
  .meta({ id: 'SignedIn' });

/** POST /v1/auth/tickets */
export const ticket = z
  .object({ ticket: z.string(), expiresIn: z.int().describe('Seconds') })
  .meta({ id: 'Ticket', description: 'Opens one socket or stream, once' });

/** POST /v1/auth/tokens */
export const newApiToken = z.object({
  name: z.string().trim().min(1).max(100),
  scopes: z.array(z.enum(scopes)).min(1).max(scopes.length),
  expiresAt: z.iso.datetime({ offset: true }).optional(),
});

/** An API token without its text. */
export const apiToken = z
  .object({ id, name: z.string(), scopes: z.array(z.string()), createdAt: time, expiresAt: time.optional() })
  .meta({ id: 'ApiToken' });

/** The answer that shows the text once. */
export const createdApiToken = z.object({ ...apiToken.shape, token: z.string() });

/** GET /v1/me */
export const profile = z
  .object({
    id,
    email: z.string(),
    displayName: z.string(),
    locale: z.string(),
    timezone: z.string(),
    createdAt: time,
    lastLogin: z.object({ time, platform: z.string() }).optional(),
  })
  .meta({ id: 'Profile' });

/** PATCH /v1/me: the fields that are there change. */
export const profilePatch = z
  .object({
    displayName: z.string().trim().min(1).max(100),
    locale: z.string().max(35),
    timezone: z.string().max(64),
  })
  .partial();

/** GET and PUT /v1/me/preferences: an object of the person's own keys. */
export const preferences = freeObject.meta({ id: 'Preferences' });

/** PUT /v1/me/persona */
export const personaChange = z.object({ persona: slug });

/** PUT /v1/me/memory */
export const memoryChange = z.object({ enabled: z.boolean() });

/** What the session is set to now. */
export const sessionState = z
  .object({
    persona: z.string(),
    memoryEnabled: z.boolean(),
    offset: z.int().optional().describe('Of the event; absent when nothing changed'),
  })
  .meta({ id: 'SessionState' });

/** GET /v1/me/notices */
export const notice = z
  .object({
    id,
    kind: z.string().describe('`welcome` or `unusual_login`; more may come'),
    time,
    data: freeObject.describe('Facts to judge it by: ids, names of platforms, times'),
  })
  .meta({ id: 'Notice' });

/** A device with where it is now. */
export const deviceState = z
  .object({ id, platform: z.string(), name: z.string().optional(), connected: z.boolean(), lastSeen: time })
  .meta({ id: 'DeviceState' });

/** GET /.well-known/jwks.json */
export const jwks = z.looseObject({ keys: z.array(freeObject) }).meta({ id: 'JsonWebKeySet' });

/** DELETE /v1/me */
export const farewell = z
  .object({ password: z.string().max(256).optional().describe('Needed unless the login is fresh') })
  .optional();

/** DELETE /v1/admin/users/{user} */
export const removal = z.strictObject({
  reason: z.string().min(1).max(500).describe('Why; kept with the erasure'),
});

/** Whom an operator acts on. */
export const userPath = z.object({ user: id });

/** What erasing a person answers. */
export const erasureBegun = z.object({
  sagaId: z.string().describe('The saga that does it; for operators, as the person cannot sign in any more'),
});

/** One thing of an export. */
export const exported = z
  .object({
    kind: z
      .string()
      .describe('profile, identity, notice, device, token, space, document, conversation, message'),
    data: z.unknown().describe('As the call answers it that is about this kind alone'),
  })
  .meta({ id: 'Exported' });
