import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Device, openDevice } from './support/device.ts';
import { newPerson, type Person, type TestMesh, testMesh } from './support/mesh.ts';
import { openPythonDevice, type PythonDevice } from './support/python-device.ts';

/** An answer of some sixty pieces then takes two to three seconds: time to kill something in the middle. */
const paceMs = 40;

let on: TestMesh;
let person: Person;
let phone: Device;
let laptop: PythonDevice;

beforeAll(async () => {
  on = await testMesh({ env: { AGENT_OFFLINE_PACE_MS: String(paceMs) } });
  person = await newPerson(on.url);
  phone = await openDevice(on.url, 'phone', () => person.accessToken);
  laptop = await openPythonDevice(on.url, 'laptop', person.accessToken);
}, 120_000);

afterAll(async () => {
  phone?.close();
  await laptop?.close();
  await on?.[Symbol.asyncDispose]();
}, 60_000);

/** The log as the server has it: what every device must have seen. */
const history = async () => {
  const response = await fetch(`${on.url}/v1/spaces/personal/events?after=0&limit=1000`, {
    headers: { authorization: `Bearer ${person.accessToken}` },
  });
  const body = (await response.json()) as {
    events: { offset: number; id: string; type: string; data: Record<string, unknown> }[];
  };
  return body.events;
};

const ends = ['message.completed', 'turn.cancelled', 'turn.failed'];

const answeredEverywhere = async (turnId: string) => {
  const ended = (event: { type: string; data: Record<string, unknown> }) =>
    ends.includes(event.type) && event.data['turnId'] === turnId;
  await phone.until(
    `the end of ${turnId}`,
    (frame) => frame.type === 'event' && ended(frame['event'] as never),
  );
  await laptop.until(`the end of ${turnId}`, (events) => events.some(({ event }) => ended(event)));
};

describe('killing any process in the middle of an answer', () => {
  it('shows a message of one device, its tokens and its final text on both', async () => {
    const { turnId, messageId } = await phone.say('What do you know about my blue bowl?');
    await answeredEverywhere(turnId ?? '');
    const answer = phone.events.find(
      ({ event }) => event.type === 'message.completed' && event.data['turnId'] === turnId,
    );
    const answerId = String(answer?.event.data['messageId']);
    expect(answer?.event.data['text']).toMatch(/offline/);
    expect(phone.events.some(({ event }) => event.data['messageId'] === messageId)).toBe(true);
    expect(
      phone.frames.filter((frame) => frame.type === 'token' && frame['messageId'] === answerId).length,
    ).toBeGreaterThan(5);
    const seen = await laptop.state();
    expect(seen.tokens[answerId]).toBeGreaterThan(5);
    expect(seen.texts[answerId]).toBe(answer?.event.data['text']);
  }, 60_000);

  for (const name of ['auth', 'user', 'session-sync', 'agent', 'gateway', 'postgres'] as const) {
    it(`loses and doubles nothing when ${name} is killed`, async () => {
      const { turnId } = await phone.say(`A question while ${name} dies`);
      await phone.until(
        'the first tokens',
        (frame) => frame.type === 'token' && frame['turnId'] === turnId && String(frame['text']).length > 0,
      );
      if (name === 'postgres') process.kill(on.mesh.postgres?.pid ?? 0, 'SIGKILL');
      else expect(on.mesh.processes.get(name)?.kill('SIGKILL')).toBe(true);
      await answeredEverywhere(turnId ?? '');
      if (name !== 'postgres') await on.mesh.processes.get(name)?.ready();
    }, 90_000);
  }

  it('leaves both devices with the same history, free of gaps and duplicates', async () => {
    const { turnId } = await phone.say('The last one');
    await answeredEverywhere(turnId ?? '');
    const truth = await history();
    expect(truth.map((event) => event.offset)).toEqual(truth.map((_, at) => at + 1));
    expect(new Set(truth.map((event) => event.id)).size).toBe(truth.length);
    const conversation = truth.filter((event) => event.offset >= (phone.events[0]?.offset ?? 0));
    const seen = await laptop.state();
    expect(phone.events.map(({ offset, event }) => [offset, event.id])).toEqual(
      conversation.map(({ offset, id }) => [offset, id]),
    );
    const fromLaptop = truth.filter((event) => event.offset >= (seen.events[0]?.offset ?? 0));
    expect(seen.events.map(({ offset, event }) => [offset, event.id])).toEqual(
      fromLaptop.map(({ offset, id }) => [offset, id]),
    );
    for (const event of truth.filter((one) => ends.includes(one.type))) {
      const messageId = String(event.data['messageId']);
      expect(phone.texts.get(messageId)).toBe(event.data['text']);
      expect(seen.texts[messageId]).toBe(event.data['text']);
    }
    // Every turn has exactly one end.
    const ended = truth.filter((event) => ends.includes(event.type)).map((event) => event.data['turnId']);
    expect(new Set(ended).size).toBe(ended.length);
    expect(ended.length).toBe(8);
  }, 60_000);
});
