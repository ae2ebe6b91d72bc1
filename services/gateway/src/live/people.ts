import { AppError } from '@skein/contracts';
import type { Principal } from '../ports.ts';
import { type Closing, closeCodes, closing } from './close.ts';
import type { Connection } from './connection.ts';
import type { InFlight } from './in-flight.ts';

/** Somebody's open connection, whatever carries it. */
export interface Guest {
  readonly principal: Principal;
  readonly deviceId: string;
  /** WebSockets of one device fence each other; streams and polls do not. */
  readonly fences: boolean;
  readonly connection?: Connection | undefined;
  /** Bytes that wait for a slow reader. */
  readonly queued?: number;
  /** Requests that are being worked on; none for what only listens. */
  readonly requests?: InFlight;
  /** Ends the connection; called once at most. */
  close(closing: Closing): void;
}

/** Everybody who is connected and signed in: limits, fences, revocations, memberships, farewell. */
export class People {
  private readonly guests = new Map<string, Set<Guest>>();
  private readonly maxPerPerson: () => number;
  private total = 0;

  constructor(maxPerPerson: () => number) {
    this.maxPerPerson = maxPerPerson;
  }

  /** Open connections. */
  get size(): number {
    return this.total;
  }

  /**
   * Lets a connection in and closes an older WebSocket of the same device with 4010. AppError
   * `too_many_connections` when the person has as many as allowed.
   */
  add(guest: Guest): void {
    const { userId } = guest.principal;
    const mine = this.guests.get(userId) ?? new Set();
    const older = guest.fences
      ? [...mine].filter((one) => one.fences && one.deviceId === guest.deviceId)
      : [];
    if (mine.size - older.length >= this.maxPerPerson()) throw new AppError('too_many_connections');
    mine.add(guest);
    this.guests.set(userId, mine);
    this.total += 1;
    for (const one of older) this.end(one, closing(closeCodes.replaced));
  }

  /** The device has a newer WebSocket at another gateway: closes this one with 4010, if it is still the device's. */
  replaced(socket: {
    readonly userId: string;
    readonly deviceId: string;
    readonly connection: string;
  }): void {
    for (const guest of this.of(socket.userId)) {
      const same = guest.deviceId === socket.deviceId && guest.connection?.id === socket.connection;
      if (guest.fences && same) this.end(guest, closing(closeCodes.replaced));
    }
  }

  /** The connection is gone. Harmless when it never came in. */
  remove(guest: Guest): void {
    const { userId } = guest.principal;
    const mine = this.guests.get(userId);
    if (!mine?.delete(guest)) return;
    this.total -= 1;
    if (mine.size === 0) this.guests.delete(userId);
  }

  /** Connections of one person. */
  of(userId: string): readonly Guest[] {
    return [...(this.guests.get(userId) ?? [])];
  }

  /** Everybody. */
  all(): readonly Guest[] {
    return [...this.guests.values()].flatMap((mine) => [...mine]);
  }

  /** Closes everybody whose login or token was ended with 4001. */
  revoke(match: (principal: Principal) => boolean): void {
    for (const guest of this.all()) {
      if (match(guest.principal)) this.end(guest, closing(closeCodes.signInAgain));
    }
  }

  private end(guest: Guest, why: Closing): void {
    this.remove(guest);
    guest.close(why);
  }
}
