import { describe, expect, it } from 'vitest';
import { help, readDrillOptions, UsageError } from './drill-options.ts';

describe('the command line of the drills', () => {
  it('loads with 500 sockets and 100 messages a second unless it says otherwise', () => {
    expect(readDrillOptions(['rollout'])).toMatchObject({
      ...{ name: 'rollout', write: false, json: false, minutes: 5 },
      load: { people: 25, devices: 20, messagesPerSecond: 100 },
    });
    expect(readDrillOptions(['chaos', '--minutes', '0.5', '--rate', '20', '--json'])).toMatchObject({
      ...{ name: 'chaos', json: true, minutes: 0.5, load: { messagesPerSecond: 20 } },
    });
  });

  it('names every option in its help', () => {
    expect(readDrillOptions(['--help'])).toBeUndefined();
    for (const option of ['people', 'devices', 'rate', 'minutes', 'write', 'json', 'keep'])
      expect(help).toContain(`--${option}`);
  });

  it.each([
    [[], 'Say which one: rollout or chaos or soak.'],
    [['earthquake'], 'Say which one: rollout or chaos or soak.'],
    [['chaos', '--minutes', 'five'], '--minutes must be a number above 0, 1440 at most, not "five"'],
    [['chaos', '--devices', '21'], '--devices must be a number above 0, 20 at most, not "21"'],
    [['chaos', '--people', '2.5'], '--people must be a whole number, not "2.5"'],
    [['chaos', '--colour'], "Unknown option '--colour'"],
  ])('refuses %j with a sentence', (args, sentence) => {
    expect(() => readDrillOptions(args)).toThrow(UsageError);
    expect(() => readDrillOptions(args)).toThrow(sentence);
  });
});
