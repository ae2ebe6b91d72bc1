import type { syncV1 } from '@skein/contracts';
import { type FakeMesh, pushable } from './fakes.ts';

/** The live feed of a fake session-sync: a test says what happens in a space. */
export const fakeFeed = (mesh: Pick<FakeMesh, 'sync'>) => {
  const responses = pushable<syncV1.LiveResponse>();
  let offset = 10;
  const following = async (requests: AsyncIterable<syncV1.LiveRequest>): Promise<void> => {
    for await (const { frame } of requests) {
      if (frame?.$case !== 'follow') continue;
      const value = { space: frame.value.space, epoch: 'e1', after: offset, head: offset, turns: [] };
      responses.push({ frame: { $case: 'following', value } });
    }
  };
  mesh.sync.live = (requests, ctx) => {
    // Ends with the call itself.
    following(requests).catch(() => {});
    return responses.read(ctx.signal);
  };
  const event = (type: string, data: object): void => {
    offset += 1;
    const json = JSON.stringify({ id: `ev-${offset}`, type, time: 1, actor: { kind: 'agent' }, data });
    const events = [{ offset, id: `ev-${offset}`, type, json }];
    responses.push({ frame: { $case: 'events', value: { space: 's1', epoch: 'e1', events } } });
  };
  return {
    /** Tokens of an answer, `from` code points in. */
    token: (turnId: string, from: number, text: string) => {
      const value = { space: 's1', conversationId: 'c1', turnId, messageId: `answer-${turnId}`, from, text };
      responses.push({ frame: { $case: 'tokens', value } });
    },
    /** A turn's beginning as an event of the log; its tokens are for nobody before it. */
    begin: (turnId: string) =>
      event('turn.started', { turnId, messageId: `answer-${turnId}`, conversationId: 'c1' }),
    /** The turn's end as an event of the log. */
    end: (turnId: string, type: string, text: string) =>
      event(type, { turnId, messageId: `answer-${turnId}`, conversationId: 'c1', text }),
  };
};
