import { describe, expect, it } from 'vitest';
import { seededRandom } from '../simulation/schedule.ts';
import { drawn } from './campaign.ts';
import { faultKinds } from './kinds.ts';
import { readFaultsOptions } from './options.ts';

describe('the command line', () => {
  it('has a minute and a seed of its own unless told otherwise', () => {
    expect(readFaultsOptions([])).toMatchObject({ minutes: 1, json: false, write: false });
    expect(readFaultsOptions(['--minutes', '0.5', '--seed', '7', '--json'])).toEqual({
      ...{ minutes: 0.5, seed: 7, json: true, write: false },
    });
    expect(readFaultsOptions(['--help'])).toBeUndefined();
  });

  it.each([
    [['--minutes', 'ten'], '--minutes must be a number above 0, at most 1440, not "ten"'],
    [['--seed', '-1'], "Option '--seed' argument is ambiguous"],
    [['--minute', '1'], "Unknown option '--minute'"],
    [['now'], "Unexpected argument 'now'"],
  ])('says what is wrong with %j', (args, message) => {
    expect(() => readFaultsOptions(args)).toThrow(message);
  });
});

describe('drawing faults', () => {
  it('draws the same ones from the same seed, each kind sooner or later, none on what has one', () => {
    const draw = (seed: number) => {
      const random = seededRandom(seed);
      return Array.from({ length: 2_000 }, () => drawn(random, faultKinds, new Set(['postgres'])));
    };
    expect(draw(7)).toEqual(draw(7));
    const met = new Set(draw(7));
    expect(faultKinds.filter((kind) => !met.has(kind)).map(({ component }) => component)).toEqual([
      'postgres',
    ]);
  });
});
