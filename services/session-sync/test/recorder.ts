import { expect } from 'vitest';
import { personalSpaceId } from '../src/app/personal-space.ts';
import { actingFor, asService, messageOf, type Running } from './harness.ts';

/** The state of a space as the gateway reads it. */
export interface State {
  readonly epoch: string;
  readonly offset: number;
  readonly documents: readonly object[];
  readonly conversations: readonly object[];
  readonly stateHash: string;
}

/** A state out of the parts it comes in. */
export const joined = (at: { epoch: string; offset: number }, texts: readonly string[]): State => {
  const parts = texts.map((text) => JSON.parse(text) as Omit<State, 'epoch' | 'offset'>);
  return {
    ...{ epoch: at.epoch, offset: at.offset },
    documents: parts.flatMap(({ documents }) => documents),
    conversations: parts.flatMap(({ conversations }) => conversations),
    stateHash: parts.at(-1)?.stateHash ?? '',
  };
};

/** A person's doings in the own space, and a recorder of the states they make. */
export const recorderOf = (running: () => Pick<Running, 'gateway' | 'agent'>) => {
  /** As the gateway reads it. */
  const stateOf = async (user: string, at = ''): Promise<State> => {
    const texts: string[] = [];
    let position = { epoch: '', offset: -1 };
    for await (const { epoch, offset, json } of running().gateway.readSnapshot(
      { space: 'personal', at },
      actingFor(user),
    )) {
      position = { epoch, offset };
      texts.push(json);
    }
    return joined(position, texts);
  };

  const writerFor = (user: string) => {
    // A call's time begins with it.
    const ctx = () => actingFor(user);
    const seqs = new Map<string, number>();
    return {
      /** A task, written by a device; one whose clock is behind loses against what is there. */
      mutate: async (
        id: string,
        baseVersion: number,
        ops: readonly object[],
        { device = 'laptop', outcome = 'applied', behind = false } = {},
      ): Promise<{ readonly conflictId?: string }> => {
        const seq = (seqs.get(device) ?? 0) + 1;
        seqs.set(device, seq);
        const hlc = `${(behind ? 0 : seq + 1).toString(16).padStart(12, '0')}-0000-${device}`;
        const mutation = { seq, collection: 'task', id, baseVersion, ops, hlc };
        const { resultsJson } = await running().gateway.mutate(
          {
            space: 'personal',
            mutationsJson: JSON.stringify([mutation]),
            origin: { device: { id: device, platform: 'web', name: '' } },
          },
          ctx(),
        );
        const [result] = JSON.parse(resultsJson) as { outcome: string; conflictId?: string }[];
        expect(result?.outcome).toBe(outcome);
        return result ?? {};
      },
      say: (text: string, conversationId = '') =>
        running().gateway.appendMessage(messageOf(text, { conversationId }), ctx()),
      answer: (turnId: string, outcome: string) =>
        running().agent.endTurn(
          { space: personalSpaceId(user), turnId, outcome, text: 'so', errorCode: '', metaJson: '' },
          asService(),
        ),
    };
  };

  /** Does a little of everything; returns what a recorder saw after each step. */
  const live = async (user: string): Promise<State[]> => {
    const { mutate, say, answer } = writerFor(user);
    const ctx = () => actingFor(user);
    const seen: State[] = [];
    const origin = { device: { id: 'laptop', platform: 'web', name: '' } };
    const recorded = async <R>(step: Promise<R>): Promise<R> => {
      const result = await step;
      seen.push(await stateOf(user));
      return result;
    };
    await recorded(mutate('a', 0, [{ op: 'set', path: [], value: { title: 'A \u{1F9F6}', n: 1 } }]));
    await recorded(mutate('b', 0, [{ op: 'set', path: [], value: { title: 'B' } }]));
    await recorded(mutate('a', 1, [{ op: 'increment', path: ['n'], value: 2 }]));
    const first = await recorded(say('hello'));
    await recorded(answer(first.turnId, 'completed'));
    const { conversationId } = first;
    const second = await recorded(say('again', conversationId));
    await recorded(answer(second.turnId, 'cancelled'));
    await recorded(mutate('b', 1, [{ op: 'delete', path: [] }]));
    // A device that was away writes what somebody else has changed, loses, and its person brings it back.
    const late = { device: 'phone', outcome: 'conflict', behind: true };
    const { conflictId = '' } = await recorded(mutate('a', 1, [{ op: 'set', path: ['n'], value: 9 }], late));
    await recorded(running().gateway.undoConflict({ space: 'personal', conflictId, origin }, ctx()));
    // A classic device writes a whole value, byte for byte, and raises a version without an event.
    const classic = (version: number, seenOffset: number) =>
      running().gateway.applyClassic(
        {
          origin: { device: { id: 'old', platform: 'classic', name: '' } },
          data: {
            id: 'c',
            type: 'task',
            dataJson: '{ "t": 1.0,\n"z": "\\u0000" }',
            timestamp: 1_000,
            version,
          },
          seenOffset,
        },
        ctx(),
      );
    await recorded(classic(1, 0));
    await recorded(classic(7, 0));
    const { conversation } = await recorded(
      running().gateway.forkConversation(
        { space: 'personal', conversationId, messageId: first.messageId, title: '', reason: '', origin },
        ctx(),
      ),
    );
    await recorded(say('elsewhere', conversation?.id));
    await recorded(
      running().gateway.renameConversation(
        { space: 'personal', conversationId, title: 'Renamed', reason: '', origin },
        ctx(),
      ),
    );
    const session = { space: 'personal', persona: 'cruz', memoryEnabled: undefined, origin };
    await recorded(running().gateway.changeSession(session, ctx()));
    return seen;
  };

  return { stateOf, writerFor, live };
};
