import { AppError } from '@skein/contracts';
import type { Actor } from '../domain/event.ts';
import {
  type AcceptInvitation,
  acceptInvitation,
  comparableEmail,
  type InvitationAccepted,
  invalidInvitation,
  invite,
  isOpenFor,
} from '../domain/invitation.ts';
import type { InvitationRow } from '../domain/state.ts';
import type { TitledInvitation } from './invitation-store.ts';
import type { MembershipNews } from './membership-news.ts';
import { checkInvitations, defaultHours, newInvitation } from './new-invitation.ts';
import { type AppParts, visibleSpace } from './parts.ts';
import { isId } from './personal-space.ts';
import type { Call, Page, PageRequest, SpaceView } from './ports.ts';
import type { SpaceLimits } from './spaces.ts';
import { checkedInteger, checkedOneOf, checkedText, nameBytes } from './validate.ts';
import type { Unit } from './writer.ts';

const hourMs = 3_600_000;
/** A month. */
const maxHours = 30 * 24;
const codeShape = /^[A-Za-z0-9_-]{16,64}$/;
const emailShape = /^[^\s@]+@[^\s@]+$/u;

/** Whom to let in, and as what. */
export interface NewInvitation {
  readonly role: string;
  /** Only an account of this address may use it; empty: whoever has the code. */
  readonly email: string;
  /** 0: a week. */
  readonly hours: number;
  readonly key: string;
}

/** What a person sees before accepting. */
export interface InvitationView {
  readonly title: string;
  readonly role: string;
  readonly expiresAtMs: number;
}

const actorOf = (call: Call): Actor => ({
  kind: 'user',
  user: call.userId,
  device: call.device?.id,
  platform: call.platform,
});

const checkedEmail = (email: string): string | null => {
  if (email === '') return null;
  const comparable = comparableEmail(checkedText('email', email, { max: 254 }));
  if (!emailShape.test(comparable))
    throw new AppError('invalid_request', 'email must be an address', {
      errors: [{ path: 'email', message: 'must be an address' }],
    });
  return comparable;
};

/** Coming into a space by a code. Nobody is told whether an address has an account. */
export const invitationUseCases = (parts: AppParts, limits: SpaceLimits, news: MembershipNews) => {
  const { invitations, writer, reads, clock } = parts;
  const make = newInvitation(parts);

  /** The team space as its owner. */
  const ownSpace = async (call: Call, name: string): Promise<SpaceView> => {
    const space = await visibleSpace(parts, call, name);
    if (space.role !== 'owner') throw new AppError('forbidden', 'This needs the role owner');
    if (space.kind === 'personal') throw new AppError('forbidden', 'A personal space has one member');
    return space;
  };

  const byCode = async (code: string) => {
    const found = codeShape.test(code) ? await invitations.byCode(code) : undefined;
    if (!found) throw new AppError('not_found', invalidInvitation);
    return found;
  };

  /** An invitation the person may use, or has used. */
  const openFor = async (call: Call, code: string, email: string) => {
    const found = await byCode(code);
    const person = { userId: call.userId, email, nowMs: clock.now() };
    if (found.acceptedBy !== call.userId && !isOpenFor(found, person))
      throw new AppError('not_found', invalidInvitation);
    return found;
  };

  return {
    /** The same key again gives the same invitation; with other content it is refused. */
    create: async (call: Call, name: string, wanted: NewInvitation): Promise<InvitationRow> => {
      const role = checkedOneOf('role', wanted.role, ['editor', 'viewer']);
      const email = checkedEmail(wanted.email);
      const hours = checkedInteger('expiresInHours', wanted.hours || defaultHours, 1, maxHours);
      const { id: space } = await ownSpace(call, name);
      const row = make(call, { space, role, userId: null, email, hours, key: wanted.key });
      await checkInvitations(parts, row);
      const unit: Unit<InvitationRow> = {
        space,
        needs: { members: [call.userId], invitation: row.id },
        decide: (state, nowMs) => invite(state, { invitation: row, actor: actorOf(call), nowMs }),
        correlationId: call.correlationId,
        traceparent: call.traceparent,
      };
      const stored = await writer.write(unit, call.signal);
      const lastingMs = stored.expiresAtMs - stored.createdAtMs;
      if (stored.role !== role || stored.email !== email || lastingMs !== hours * hourMs)
        throw new AppError('idempotency_mismatch');
      return stored;
    },
    list: async (call: Call, name: string, page: PageRequest): Promise<Page<InvitationRow>> => {
      const { id } = await ownSpace(call, name);
      return invitations.open(id, clock.now(), page);
    },
    revoke: async (call: Call, name: string, id: string): Promise<void> => {
      const space = await ownSpace(call, name);
      const ended = isId(id) ? await invitations.end(space.id, id, clock.now()) : undefined;
      if (!ended) throw new AppError('not_found', 'There is no such invitation');
      if (ended.userId !== null) news.invitation(ended.userId, id, 'ended');
    },
    /** Those that are for the person alone and can still be used. */
    received: (call: Call, page: PageRequest): Promise<Page<TitledInvitation>> =>
      invitations.received(call.userId, clock.now(), page),
    /** Somebody does not want to come; again changes nothing. */
    decline: async (call: Call, code: string, email: string): Promise<void> => {
      const found = await openFor(call, code, email);
      if (found.userId === null && found.email === null)
        throw new AppError('forbidden', 'This invitation is for whoever has its code: leave it unused');
      await invitations.end(found.space, found.id, clock.now());
      news.invitation(call.userId, found.id, 'ended');
    },
    /** For mailing it: whom it is for, as long as it can be used. */
    lookUp: async (id: string): Promise<TitledInvitation> => {
      const found = isId(id) ? await invitations.byId(id) : undefined;
      if (!found || found.acceptedBy !== null || found.expiresAtMs <= clock.now())
        throw new AppError('not_found', invalidInvitation);
      return found;
    },
    /** What somebody would accept. */
    read: async (call: Call, code: string, email: string): Promise<InvitationView> => {
      const found = await openFor(call, code, email);
      return { title: found.title, role: found.role, expiresAtMs: found.expiresAtMs };
    },
    accept: async (call: Call, code: string, email: string): Promise<SpaceView> => {
      const {
        id: invitationId,
        space,
        createdBy,
        userId,
      } = await byCode(checkedText('code', code, { max: nameBytes }));
      const command: Omit<AcceptInvitation, 'nowMs'> = {
        ...{ userId: call.userId, email, invitationId, actor: actorOf(call) },
        full: (await reads.memberships(call.userId)).joined >= limits.joined,
      };
      const unit: Unit<InvitationAccepted> = {
        space,
        needs: { members: [call.userId, createdBy], invitation: invitationId },
        decide: (state, nowMs) => acceptInvitation(state, { ...command, nowMs }),
        correlationId: call.correlationId,
        traceparent: call.traceparent,
      };
      if ((await writer.write(unit, call.signal)) === 'added') {
        news.tell(call.userId, space);
        if (userId !== null) news.invitation(userId, invitationId, 'ended');
      }
      return visibleSpace(parts, call, space);
    },
  };
};
