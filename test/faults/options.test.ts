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

it('draws the same faults from the same seed, and each kind sooner or later', () => {
  const draw = (seed: number) => {
    const random = seededRandom(seed);
    return Array.from({ length: 2_000 }, () => drawn(random, faultKinds));
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
  expect(new Set(draw(7))).toEqual(new Set(faultKinds));
});
