import { describe, expect, it } from 'vitest';
import { decodeFrame } from '../src/decode.ts';

describe('a frame', () => {
  it.each([
    '',
    'nonsense',
    'null',
    '[]',
    '7',
    '{}',
    '{"type":"brand_new"}',
    '{"type":"event"}',
    '{"type":"event","space":"s","event":{}}',
    '{"type":"token","space":"s"}',
    '{"type":"result"}',
  ])('that is broken or unknown is ignored: %s', (text) => {
    expect(decodeFrame(text)).toBeUndefined();
  });

  it('may carry fields nobody knows yet', () => {
    const frame = decodeFrame(
      '{"type":"token","space":"s","conversationId":"c","turnId":"t","messageId":"m","from":3,"text":"x","colour":"red"}',
    );
    expect(frame).toEqual({
      type: 'token',
      space: 's',
      conversationId: 'c',
      turnId: 't',
      messageId: 'm',
      from: 3,
      text: 'x',
    });
  });

  it('gives times in milliseconds whether they come as text or number', () => {
    const presence = (lastSeen: unknown) =>
      decodeFrame(
        JSON.stringify({
          type: 'presence',
          space: 's',
          devices: [{ user: 'u', device: 'd', platform: 'cli', connected: false, lastSeen }],
        }),
      );
    const expected = {
      type: 'presence',
      space: 's',
      devices: [{ user: 'u', device: 'd', platform: 'cli', name: '', connected: false, lastSeenMs: 1_000 }],
    };
    expect(presence(1_000)).toEqual(expected);
    expect(presence('1970-01-01T00:00:01.000Z')).toEqual(expected);
  });
});
