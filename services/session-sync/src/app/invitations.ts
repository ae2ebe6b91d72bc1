import { AppError } from '@skein/contracts';
import { v5 } from 'uuid';
import {
  type AcceptInvitation,
  acceptInvitation,
  comparableEmail,
  type InvitationAccepted,
  invalidInvitation,
  isOpenFor,
} from '../domain/invitation.ts';
import type { InvitationRow } from '../domain/state.ts';
import type { MembershipNews } from './membership-news.ts';
import { type AppParts, visibleSpace } from './parts.ts';
import { isId } from './personal-space.ts';
import type { Call, Page, PageRequest, SpaceView } from './ports.ts';
import type { SpaceLimits } from './spaces.ts';
import { checkedInteger, checkedOneOf, checkedText, nameBytes } from './validate.ts';
import type { Unit } from './writer.ts';

/** Fixed for good: an invitation's id comes from its space, its maker and the key of the request that made it. */
const invitationNamespace = '5c8e1d7a-9b34-4f60-8a72-3e0d6f91b2c4';
/** Invitations of one space that nobody has used yet. */
const maxOpen = 100;
const hourMs = 3_600_000;
/** A week, unless said; a month at most. */
const defaultHours = 7 * 24;
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
  const { invitations, writer, reads, ids, clock } = parts;

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

  return {
    /** The same key again gives the same invitation; with other content it is refused. */
    create: async (call: Call, name: string, wanted: NewInvitation): Promise<InvitationRow> => {
      const role = checkedOneOf('role', wanted.role, ['editor', 'viewer']);
      const email = checkedEmail(wanted.email);
      const hours = checkedInteger('expiresInHours', wanted.hours || defaultHours, 1, maxHours);
      const { id: space } = await ownSpace(call, name);
      const nowMs = clock.now();
      const row: InvitationRow = {
        id:
          wanted.key === ''
            ? ids.next()
            : v5(JSON.stringify([space, call.userId, wanted.key]), invitationNamespace),
        ...{ space, role, email, code: ids.code(), createdBy: call.userId },
        ...{ createdAtMs: nowMs, expiresAtMs: nowMs + hours * hourMs, acceptedBy: null },
      };
      const stored = await invitations.make(row, maxOpen);
      if (!stored) throw new AppError('forbidden', `A space has at most ${maxOpen} open invitations`);
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
      if (!isId(id) || !(await invitations.revoke(space.id, id)))
        throw new AppError('not_found', 'There is no such invitation');
    },
    /** What somebody would accept. */
    read: async (call: Call, code: string, email: string): Promise<InvitationView> => {
      const found = await byCode(code);
      const mine = found.acceptedBy === call.userId;
      if (!mine && !isOpenFor(found, { email, nowMs: clock.now() }))
        throw new AppError('not_found', invalidInvitation);
      return { title: found.title, role: found.role, expiresAtMs: found.expiresAtMs };
    },
    accept: async (call: Call, code: string, email: string): Promise<SpaceView> => {
      const {
        id: invitationId,
        space,
        createdBy,
      } = await byCode(checkedText('code', code, { max: nameBytes }));
      const command: Omit<AcceptInvitation, 'nowMs'> = {
        ...{ userId: call.userId, email, invitationId },
        actor: { kind: 'user', user: call.userId, device: call.device?.id, platform: call.platform },
        full: (await reads.memberships(call.userId)).joined >= limits.joined,
      };
      const unit: Unit<InvitationAccepted> = {
        space,
        needs: { members: [call.userId, createdBy], invitation: invitationId },
        decide: (state, nowMs) => acceptInvitation(state, { ...command, nowMs }),
        correlationId: call.correlationId,
        traceparent: call.traceparent,
      };
      if ((await writer.write(unit, call.signal)) === 'added') news.tell(call.userId, space);
      return visibleSpace(parts, call, space);
    },
  };
};
