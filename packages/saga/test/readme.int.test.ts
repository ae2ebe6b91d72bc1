import { readFile } from 'node:fs/promises';
import { AppError } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import { describe, expect, it } from 'vitest';
import { freshDatabase, runSagas, soon } from './fixture.ts';
import { bookSeat } from './sample.ts';

/** Where the sample saga books. */
const theatre = (broke: readonly string[] = []) => {
  const calls: string[] = [];
  const note = (what: string, { idempotencyKey }: CallContext) =>
    void calls.push(`${what} ${idempotencyKey?.split(':').slice(1).join(':')}`);
  return {
    calls,
    ports: {
      reserve: async (seat: string, call: CallContext) => {
        note(`reserve ${seat}`, call);
        return { id: `reservation of ${seat}` };
      },
      release: async (seat: string, call: CallContext) => note(`release ${seat}`, call),
      charge: async (person: string, call: CallContext) => {
        if (broke.includes(person)) throw new AppError('forbidden', 'No money');
        note(`charge ${person}`, call);
      },
      confirm: async (reservation: string, call: CallContext) => note(`confirm ${reservation}`, call),
    },
  };
};

describe('the sample of the README', () => {
  it('is the one that is run here', async () => {
    const page = await readFile(new URL('../README.md', import.meta.url), 'utf8');
    const sample = await readFile(new URL('./sample.ts', import.meta.url), 'utf8');
    expect(page).toContain(sample.trim());
  });

  it('books a seat', async () => {
    const { calls, ports } = theatre();
    const { database } = await freshDatabase();
    const booking = bookSeat(ports);
    const sagas = await runSagas({ database, definitions: [booking] });
    const started = await sagas.startNow(booking, { person: 'ada', seat: 'A7' });
    expect(await started.settled(soon())).toMatchObject({ state: 'done' });
    expect(calls).toEqual([
      'reserve A7 reserve:do',
      'charge ada charge:do',
      'confirm reservation of A7 confirm:do',
    ]);
  });

  it('leaves nothing of a booking that cannot be paid', async () => {
    const { calls, ports } = theatre(['bob']);
    const { database } = await freshDatabase();
    const booking = bookSeat(ports);
    const sagas = await runSagas({ database, definitions: [booking] });
    const started = await sagas.startNow(booking, { person: 'bob', seat: 'A7' });
    expect(await started.settled(soon())).toEqual({
      state: 'compensated',
      failure: { code: 'forbidden', detail: 'No money' },
    });
    expect(calls).toEqual(['reserve A7 reserve:do', 'release A7 reserve:undo']);
  });
});
