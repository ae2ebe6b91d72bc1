import { AppError } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import { expect, it } from 'vitest';
import { patientReads } from '../src/app/patient-reads.ts';
import type { Session } from '../src/app/ports.ts';
import type { Turn } from '../src/domain/turn.ts';

const turn = {} as Turn;
const ctx = (signal = new AbortController().signal) => ({ signal }) as CallContext;

/** A session whose memory switch cannot be read so many times. */
const failing = (times: number, code: 'unavailable' | 'not_found') => {
  const asked = { reads: 0, waits: 0 };
  const session = {
    memoryEnabled: async () => {
      asked.reads += 1;
      if (asked.reads <= times) throw new AppError(code);
      return true;
    },
  } as unknown as Session;
  const delay = async () => {
    asked.waits += 1;
  };
  return { asked, reads: patientReads(session, delay) };
};

it('reads again while the session is away for a moment', async () => {
  const { asked, reads } = failing(5, 'unavailable');
  expect(await reads.memoryEnabled(turn, ctx())).toBe(true);
  expect(asked).toEqual({ reads: 6, waits: 5 });
});

it('gives up in the end, at once where waiting is in vain, and when nobody wants the answer any more', async () => {
  const away = failing(Number.POSITIVE_INFINITY, 'unavailable');
  await expect(away.reads.memoryEnabled(turn, ctx())).rejects.toMatchObject({ code: 'unavailable' });
  expect(away.asked.reads).toBe(18);
  const gone = failing(1, 'not_found');
  await expect(gone.reads.memoryEnabled(turn, ctx())).rejects.toMatchObject({ code: 'not_found' });
  expect(gone.asked.reads).toBe(1);
  const stopped = failing(1, 'unavailable');
  await expect(stopped.reads.memoryEnabled(turn, ctx(AbortSignal.abort()))).rejects.toThrow();
  expect(stopped.asked.reads).toBe(1);
});
