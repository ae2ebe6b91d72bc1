import { describe, expect, it } from 'vitest';
import { loginEvent, noticesOf, registration, startUser } from './fixture.ts';

/** Waits until everything published has been handled by the service. */
const handled = (database: Awaited<ReturnType<typeof startUser>>['database'], count: number) =>
  expect
    .poll(() => database.query('select event_id from "user".inbox'), { timeout: 10_000 })
    .toHaveLength(count);

describe('events of auth', () => {
  it('give one welcome notice, although the registration is delivered twice, and ask nobody anything', async () => {
    const { client, bus, database, person, asked } = await startUser();
    const ada = person();
    const event = registration(ada.id, 1_700_000_000_000);
    await bus.publish([event]);
    await handled(database, 1);
    // Straight into the bus, past the memory by which `publish` would drop it.
    await database.query(`insert into skein_bus.event (event_id, type, event) values ('again', $1, $2)`, [
      event.type,
      JSON.stringify(event),
    ]);
    await bus.publish([loginEvent(ada.id, { at: 1_700_000_000_001 })]);
    await handled(database, 2);
    expect(await noticesOf(client, ada)).toEqual([
      { id: expect.any(String), kind: 'welcome', timeMs: 1_700_000_000_000, dataJson: '{}' },
    ]);
    // The profile is for the registration to make, or for whoever asks first.
    expect(asked).toEqual([]);
    const { profile } = await client.getProfile({}, ada.call());
    expect(profile).toMatchObject({ lastLoginAtMs: 1_700_000_000_001, lastLoginPlatform: 'web' });
  });

  it('move the last login forward and never back', async () => {
    const { client, bus, database, person } = await startUser();
    const ada = person();
    await bus.publish([loginEvent(ada.id, { at: 2_000, platform: 'ios' })]);
    await bus.publish([loginEvent(ada.id, { at: 1_000, platform: 'cli' })]);
    await handled(database, 2);
    const { profile } = await client.getProfile({}, ada.call());
    expect(profile).toMatchObject({ lastLoginAtMs: 2_000, lastLoginPlatform: 'ios' });
  });

  it('tell of an unusual login, with the facts to judge it by', async () => {
    const { client, bus, database, person } = await startUser();
    const ada = person();
    await bus.publish([
      loginEvent(ada.id, { at: 1_000 }),
      loginEvent(ada.id, { at: 2_000, unusual: true, deviceId: 'phone', platform: 'ios' }),
    ]);
    await handled(database, 2);
    const [notice, ...others] = await noticesOf(client, ada);
    expect(others).toEqual([]);
    expect(notice).toMatchObject({ kind: 'unusual_login', timeMs: 2_000 });
    expect(JSON.parse(notice?.dataJson ?? '')).toEqual({
      sessionId: 'session-1',
      at: 2_000,
      platform: 'ios',
      deviceId: 'phone',
    });
  });

  it('are handled while auth is away: the profile waits for its first touch', async () => {
    const { client, bus, database, person, auth } = await startUser();
    const ada = person();
    await auth.stop();
    await bus.publish([registration(ada.id)]);
    await handled(database, 1);
    expect(await noticesOf(client, ada)).toHaveLength(1);
    await expect(client.getProfile({}, ada.call())).rejects.toMatchObject({ code: 'unavailable' });
  });
});

describe('notices', () => {
  it('are kept to the newest two hundred of a person', async () => {
    const { client, bus, database, person } = await startUser();
    const [ada, eve] = [person(), person()];
    const times = Array.from({ length: 205 }, (_, n) => (n + 1) * 1_000);
    await bus.publish([
      loginEvent(eve.id, { at: 500, unusual: true }),
      ...times.map((at) => loginEvent(ada.id, { at, unusual: true })),
    ]);
    await handled(database, 206);
    const { items, next } = await client.listNotices({ limit: 200, cursor: '' }, ada.call());
    expect(items.map(({ timeMs }) => timeMs)).toEqual(times.slice(-200).toReversed());
    expect(next).toBe('');
    expect(await noticesOf(client, eve)).toHaveLength(1);
  });

  it('come in pages, newest first, and are seen by their person alone', async () => {
    const { client, bus, database, person } = await startUser();
    const [ada, eve] = [person(), person()];
    await bus.publish([1, 2, 3, 4, 5].map((at) => loginEvent(ada.id, { at: at * 1_000, unusual: true })));
    await handled(database, 5);
    const times: number[] = [];
    let cursor = '';
    do {
      const page = await client.listNotices({ limit: 2, cursor }, ada.call());
      expect(page.items.length).toBeLessThanOrEqual(2);
      times.push(...page.items.map(({ timeMs }) => timeMs));
      cursor = page.next;
    } while (cursor !== '');
    expect(times).toEqual([5_000, 4_000, 3_000, 2_000, 1_000]);
    expect(await noticesOf(client, eve)).toEqual([]);
    await expect(client.listNotices({ limit: 2, cursor: 'xx' }, ada.call())).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });
});
