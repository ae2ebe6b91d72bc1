import type { CallContext } from '@skein/rpc';
import { defineSaga } from '@skein/saga/definition';
import { z } from 'zod';

/** What the steps need of others. */
export interface BookingPorts {
  reserve(seat: string, call: CallContext): Promise<{ id: string }>;
  release(seat: string, call: CallContext): Promise<void>;
  charge(person: string, call: CallContext): Promise<void>;
  confirm(reservation: string, call: CallContext): Promise<void>;
}

/** Books a seat: reserved, paid and confirmed, or nothing at all. */
export const bookSeat = ({ reserve, release, charge, confirm }: BookingPorts) =>
  defineSaga({
    name: 'book-seat',
    version: 1,
    input: z.object({ person: z.string(), seat: z.string() }),
    locks: ({ seat }) => [`seat:${seat}`],
  })
    .compensatable('reserve', {
      output: z.object({ id: z.string() }),
      refuseOn: ['not_found'],
      action: ({ input, call }) => reserve(input.seat, call),
      compensate: ({ input, call }) => release(input.seat, call),
    })
    .pivot('charge', {
      refuseOn: ['forbidden'],
      action: ({ input, call }) => charge(input.person, call),
    })
    .retriable('confirm', {
      action: ({ results, call }) => confirm(results.reserve.id, call),
    });
