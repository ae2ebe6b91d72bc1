import { describe, expect, it } from 'vitest';
import { acceptInvitation, type InvitationCounts, invite } from '../src/domain/invitation.ts';
import type { InvitationRow } from '../src/domain/invitation-row.ts';
import { changeMember, leaveForGood, removeMember } from '../src/domain/member.ts';
import type { Role, SpaceState } from '../src/domain/state.ts';
import { given, noInvitations } from './decide.ts';

const actor = { kind: 'user', user: 'ann', platform: 'web' } as const;
const nowMs = 5;
const address = 'new@example.org';
const row = (id: string, more: Partial<InvitationRow> = {}): InvitationRow => ({
  ...{ id, space: 'space', role: 'editor', code: id, userId: null, email: null, createdBy: 'ann' },
  ...{ createdAtMs: 0, expiresAtMs: 100, ended: false, acceptedBy: null, personEmail: null, mailed: false },
  ...more,
});
const invites =
  (invitation: InvitationRow, counts: Partial<InvitationCounts> = {}) =>
  (state: SpaceState) =>
    invite(state, { invitation, counts: { ...noInvitations, ...counts }, actor, nowMs });
const accepts =
  (invitationId: string, userId = 'new', email = address) =>
  (state: SpaceState) =>
    acceptInvitation(state, { userId, email, invitationId, actor, full: false, nowMs });
const change = (userId: string, role: Role | null, by = 'ann') => ({ by, userId, role, actor, nowMs });
const puts = (userId: string, role: Role) => (state: SpaceState) => changeMember(state, change(userId, role));
const removes =
  (userId: string, by = 'ann') =>
  (state: SpaceState) =>
    removeMember(state, change(userId, null, by));

const named = row('named', { userId: 'new', role: 'owner' });
const link = row('link', { role: 'viewer' });
const mailed = row('mailed', { email: address });
const another = row('another', { email: address });
const gone = 'not_found';

describe('what was decided last about a person', () => {
  it.each([
    ['named', 'a code for all', named, link],
    ['mailed', 'a code for all', mailed, link],
    ['mailed', 'another mailed one', mailed, another],
    ['mailed', 'one by name', mailed, named],
  ])('is not undone by an older invitation: %s, but in by %s', (_, __, old, used) => {
    const joined = [invites(old), invites(used), accepts(used.id)];
    expect(given(...joined).state.invitations.get(old.id)?.ended).toBe(true);
    given(...joined, removes('new'))
      .when(accepts(old.id))
      .refused(gone);
    given(...joined, removes('new', 'new'))
      .when(accepts(old.id))
      .refused(gone);
    given(...joined, puts('new', 'viewer'), removes('new'))
      .when(accepts(used.id))
      .refused(gone);
  });

  it('holds also against invitations that came while the person was in', () => {
    const joined = [invites(link), accepts('link'), invites(mailed)];
    given(...joined, removes('new'))
      .when(accepts('mailed'))
      .refused(gone);
    const erased = (state: SpaceState) => leaveForGood(state, { userId: 'new', heir: 'ann', nowMs });
    given(...joined, erased)
      .when(accepts('mailed'))
      .refused(gone);
    // Another role ends them at once, also the one the person has.
    for (const role of ['owner', 'viewer'] as const) {
      const { state } = given(...joined, puts('new', role));
      expect(state.invitations.get('mailed')?.ended).toBe(true);
    }
  });

  it('holds for an heir too', () => {
    const inherits = (state: SpaceState) => leaveForGood(state, { userId: 'ann', heir: 'new', nowMs });
    const { state } = given(invites(link), accepts('link'), invites(mailed), inherits);
    expect(state.roles.get('new')).toBe('owner');
    expect(state.invitations.get('mailed')?.ended).toBe(true);
  });

  it('says nothing about others, nor about what is decided later', () => {
    const other = row('other', { email: 'other@example.org' });
    const { state } = given(invites(other), invites(link), accepts('link'), removes('new'));
    expect(state.invitations.get('other')).toMatchObject({ ended: false });
    given(invites(link), accepts('link'), removes('new'), invites(mailed))
      .when(accepts('mailed'))
      .emits(['member.added'], 'added');
    // An account without an address has none in common with anybody.
    const nobody = given(invites(mailed), invites(link), accepts('link', 'new', ''));
    expect(nobody.state.invitations.get('mailed')).toMatchObject({ ended: false });
  });
});

describe('an invitation', () => {
  const isMailed = (invitation: InvitationRow, counts: Partial<InvitationCounts>) => {
    const decision = given().when(invites(invitation, counts)).emits(['member.invited'], invitation.id);
    // Neither the answer nor the log tells whether it is mailed.
    expect(decision.events[0]?.data).toEqual({
      ...{ invitation: invitation.id, role: invitation.role, addressed: true },
    });
    return decision.writes.invitations?.at(-1)?.mailed;
  };

  it.each([named, mailed])('is mailed so often, and made without a mail beyond: $id', (invitation) => {
    expect(isMailed(invitation, {})).toBe(true);
    expect(isMailed(invitation, { mailsOfMaker: 2, mails: 19 })).toBe(true);
    expect(isMailed(invitation, { mailsOfMaker: 3 })).toBe(false);
    expect(isMailed(invitation, { mails: 20 })).toBe(false);
    expect(isMailed(invitation, { declined: true })).toBe(false);
  });

  it('is refused where there are enough, and what others do is not told', () => {
    given()
      .when(invites(mailed, { waiting: 20 }))
      .refused('forbidden');
    given()
      .when(invites(mailed, { open: 100 }))
      .refused('forbidden');
    given()
      .when(invites(mailed, { sent: 100 }))
      .refused('rate_limited');
    given()
      .when(invites(mailed, { mails: 1_000_000 }))
      .emits(['member.invited']);
    // A code that one passes on oneself is for nobody.
    given()
      .when(invites(link, { sent: 100, waiting: 20 }))
      .emits(['member.invited']);
    // One that takes the place of another one is none more.
    given(invites(named))
      .when(invites(row('less', { userId: 'new' }), { open: 100 }))
      .emits(['member.invited']);
  });
});
