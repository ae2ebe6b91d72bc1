import type { Random } from './schedule.ts';

/** How often what goes wrong, each as the share of occasions. */
export interface FaultRates {
  /** A call or its answer is lost; a call arrives twice. */
  readonly lostCall: number;
  readonly lostAnswer: number;
  readonly twice: number;
  /** A message between replicas is lost, or arrives twice; all of them arrive in any order. */
  readonly lostNews: number;
  readonly newsTwice: number;
  /** The connection to the database breaks before a statement, after it, or while the server goes on with it. */
  readonly diskBefore: number;
  readonly diskAfter: number;
  readonly diskLate: number;
  /** The process dies right before or right after a statement was carried out. */
  readonly crashBefore: number;
  readonly crashAfter: number;
  /** The process, or its connection, stands still before a statement for longer than a lease lasts. */
  readonly stall: number;
}

/** What can go wrong, and for how long. */
export interface Faults {
  /** One rate, or 0 once everything is well. */
  happens(what: keyof FaultRates): boolean;
  /** No fault from now on. */
  end(): void;
  readonly over: boolean;
}

/** Rates of one seed: some seeds are calm, some are a bad day. */
export const ratesOf = (random: Random): FaultRates => {
  const rate = (most: number) => (random.chance(0.3) ? 0 : random() * random() * most);
  return {
    ...{ lostCall: rate(0.1), lostAnswer: rate(0.15), twice: rate(0.2) },
    ...{ lostNews: rate(0.5), newsTwice: rate(0.3) },
    ...{ diskBefore: rate(0.03), diskAfter: rate(0.1), diskLate: rate(0.04) },
    ...{ crashBefore: rate(0.02), crashAfter: rate(0.03) },
    stall: rate(0.03),
  };
};

/** Faults by rates, until they end. */
export const createFaults = (rates: FaultRates, random: Random): Faults => {
  let over = false;
  return {
    happens: (what) => !over && rates[what] > 0 && random.chance(rates[what]),
    end: () => {
      over = true;
    },
    get over() {
      return over;
    },
  };
};
