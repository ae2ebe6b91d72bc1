import { z } from 'zod';
import { id, time } from './basics.ts';

const role = z.enum(['editor', 'viewer']);
/** Only a person is invited as an owner, never whoever has a code. */
const anyRole = z.enum(['owner', 'editor', 'viewer']);

/** An open door for one person. */
export const invitation = z
  .object({
    id,
    role: anyRole,
    code: z.string().describe('Whoever has it may accept'),
    userId: id.optional().describe('Only this person may accept'),
    email: z.string().optional().describe('Only an account of this address may accept'),
    createdBy: id,
    createdAt: time,
    expiresAt: time,
  })
  .meta({ id: 'Invitation' });

/** POST /v1/spaces/{space}/invitations */
export const newInvitation = z.object({
  role,
  email: z.email().max(254).optional(),
  expiresInHours: z.int().min(1).max(720).optional().describe('A week unless said'),
});

/** GET /v1/invitations */
export const receivedInvitation = z
  .object({
    id,
    space: id,
    title: z.string().describe('Of the space'),
    role: anyRole,
    code: z.string().describe('To accept or decline it'),
    createdBy: id,
    createdAt: time,
    expiresAt: time,
  })
  .meta({ id: 'ReceivedInvitation' });

/** POST /v1/invitations/preview, /accept and /decline */
export const invitationCode = z.object({ code: z.string().min(1).max(256) });

/** What somebody would accept. */
export const invitationPreview = z
  .object({ title: z.string().describe('Of the space'), role: anyRole, expiresAt: time })
  .meta({ id: 'InvitationPreview' });
