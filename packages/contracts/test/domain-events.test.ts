import { describe, expect, it } from 'vitest';
import { checkDomainEvent, type DomainEvent, domainEvents, subjectOf } from '../src/index.ts';

const event: DomainEvent<'user.registered'> = {
  id: 'e1',
  type: 'user.registered',
  source: 'auth',
  time: 1,
  subject: 'u1',
  data: { userId: 'u1', registeredAt: 1 },
  correlationId: 'c1',
  schemaVersion: 1,
};

describe('the catalogue of domain events', () => {
  it('has types of two tokens, which the bus turns into subjects', () => {
    for (const type of Object.keys(domainEvents)) expect(type).toMatch(/^[a-z_]+\.[a-z_]+$/);
    expect(subjectOf(event)).toBe('skein.events.user.registered.u1');
  });

  it('lets an event pass whole', () => {
    expect(checkDomainEvent(event)).toBe(event);
  });

  it('refuses a field that is not on the allow-list', () => {
    const leaking = { ...event, data: { ...event.data, email: 'ada@example.org' } };
    expect(() => checkDomainEvent(leaking)).toThrow(/email/);
  });

  it('refuses a missing field and an unknown type', () => {
    expect(() => checkDomainEvent({ ...event, data: { userId: 'u1' } as never })).toThrow(/registeredAt/);
    expect(() => checkDomainEvent({ ...event, type: 'constructor' as never })).toThrow(
      /not in the catalogue/,
    );
  });

  it('refuses an event in the name of another service, and a version it does not write', () => {
    expect(() => checkDomainEvent({ ...event, source: 'agent' })).toThrow(/published by auth, not by agent/);
    expect(() => checkDomainEvent({ ...event, schemaVersion: 2 })).toThrow(/version 1, not 2/);
  });
});
