import { AppError } from '@skein/contracts';
import type { Actor } from '../domain/event.ts';
import {
  type AcceptInvitation,
  acceptInvitation,
  comparableEmail,
  type InvitationAccepted,
  invalidInvitation,
  invite,
  isOpen,
  isOpenFor,
  opensFor,
} from '../domain/invitation.ts';
import type { InvitationRow } from '../domain/invitation-row.ts';
import type { FoundInvitation } from './invitation-store.ts';
import type { MembershipNews } from './membership-news.ts';
import { defaultHours, newInvitation } from './new-invitation.ts';
import { once } from './once.ts';
import { type AppParts, visibleSpace } from './parts.ts';
import { isId } from './personal-space.ts';
import type { Call, Page, PageRequest, SpaceView } from './ports.ts';
import type { SpaceLimits } from './spaces.ts';
import { checkedInteger, checkedOneOf, checkedText, nameBytes } from './validate.ts';
import type { Unit } from './writer.ts';

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
  const { invitations, writer, reads, clock, sha256 } = parts;
  const make = newInvitation(parts);

  /** The team space as its owner. */
  const ownSpace = async (call: Call, name: string): Promise<SpaceView> => {
    const space = await visibleSpace(parts, call, name);
    if (space.role !== 'owner') throw new AppError('forbidden', 'This needs the role owner');
    if (space.kind === 'personal') throw new AppError('forbidden', 'A personal space has one member');
    return space;
  };

  /** The invitation, and the person before it; the same answer to every code that there is not. */
  const atDoor = async (call: Call, code: string, email: string) => {
    const found = codeShape.test(code) ? await invitations.byCode(code, call.userId) : undefined;
    if (!found) throw new AppError('not_found', invalidInvitation);
    const { makerOwns, isIn } = found;
    return { found, visitor: { userId: call.userId, email, makerOwns, isIn, nowMs: clock.now() } };
  };

  return {
    /** The same key again gives the same invitation; with other content it is refused. */
    create: async (call: Call, name: string, wanted: NewInvitation): Promise<InvitationRow> => {
      const role = checkedOneOf('role', wanted.role, ['editor', 'viewer']);
      const email = checkedEmail(wanted.email);
      const hours = checkedInteger('expiresInHours', wanted.hours || defaultHours, 1, maxHours);
      const { id: space } = await ownSpace(call, name);
      const made = await make(call, { space, role, userId: null, email, hours });
      const unit: Unit<string> = {
        space,
        needs: { members: [call.userId] },
        decide: (state, nowMs) => invite(state, { ...made, actor: actorOf(call), nowMs }),
        correlationId: call.correlationId,
        traceparent: call.traceparent,
      };
      // What is remembered of it is its id: neither code nor address.
      const body = [space, role, email, hours];
      const id = await writer.write(once(sha256, unit, call, 'CreateInvitation', body), call.signal);
      const stored = await invitations.byId(id);
      if (!stored) throw new AppError('not_found', 'The invitation is there no more: make another one');
      return stored;
    },
    list: async (call: Call, name: string, page: PageRequest): Promise<Page<InvitationRow>> => {
      const { id } = await ownSpace(call, name);
      return invitations.open(id, clock.now(), page);
    },
    revoke: async (call: Call, name: string, id: string): Promise<void> => {
      const space = await ownSpace(call, name);
      const ended = isId(id) ? await invitations.end({ space: space.id, id }, clock.now()) : undefined;
      if (!ended) throw new AppError('not_found', 'There is no such invitation');
      if (ended.userId !== null) news.invitation(ended.userId, id, 'ended');
    },
    /** Those that are for the person alone and can still be used. */
    received: (call: Call, page: PageRequest): Promise<Page<FoundInvitation>> =>
      invitations.received(call.userId, clock.now(), page),
    /** Somebody does not want to come. */
    decline: async (call: Call, code: string, email: string): Promise<void> => {
      const { found, visitor } = await atDoor(call, code, email);
      if (!isOpenFor(found, visitor)) throw new AppError('not_found', invalidInvitation);
      if (found.userId === null && found.email === null)
        throw new AppError('forbidden', 'This invitation is for whoever has its code: leave it unused');
      const declines = { userId: call.userId, email: comparableEmail(email) };
      // Somebody was quicker: it was taken back, or used.
      if (!(await invitations.end(found, clock.now(), declines)))
        throw new AppError('not_found', invalidInvitation);
      news.invitation(call.userId, found.id, 'ended');
    },
    /** For mailing it: whom it is for, as long as it can be used and may be mailed. */
    lookUp: async (id: string): Promise<FoundInvitation> => {
      const found = isId(id) ? await invitations.byId(id) : undefined;
      if (!found?.mailed || !isOpen(found, { makerOwns: found.makerOwns, nowMs: clock.now() }))
        throw new AppError('not_found', invalidInvitation);
      return found;
    },
    /** What somebody would accept. */
    read: async (call: Call, code: string, email: string): Promise<InvitationView> => {
      const { found, visitor } = await atDoor(call, code, email);
      if (!opensFor(found, visitor)) throw new AppError('not_found', invalidInvitation);
      return { title: found.title, role: found.role, expiresAtMs: found.expiresAtMs };
    },
    accept: async (call: Call, code: string, email: string): Promise<SpaceView> => {
      const { found } = await atDoor(call, checkedText('code', code, { max: nameBytes }), email);
      const { id: invitationId, space, createdBy, userId } = found;
      const command: Omit<AcceptInvitation, 'nowMs'> = {
        ...{ userId: call.userId, email, invitationId, actor: actorOf(call) },
        full: (await reads.memberships(call.userId)).joined >= limits.joined,
      };
      const unit: Unit<InvitationAccepted> = {
        space,
        needs: {
          ...{ members: [call.userId, createdBy], invitation: invitationId },
          invited: [{ userId: call.userId, email: comparableEmail(email) }],
        },
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
