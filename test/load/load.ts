import type { History } from './history.ts';
import { type LoadPerson, loadPerson, type PersonOptions } from './person.ts';

/** How much load. */
export interface LoadOptions extends PersonOptions {
  readonly people: number;
  /** Half of them over WebSocket, half over REST. */
  readonly messagesPerSecond: number;
  /** Of these, how many want an answer. */
  readonly answersPerSecond: number;
  /** Reads and token refreshes, over all services. */
  readonly callsPerSecond: number;
  /** Changes of a document that all devices of a person change; needs `tallyPolicies`. */
  readonly mutationsPerSecond?: number;
  /** Health records, each a saga. */
  readonly recordsPerSecond?: number;
}

/** Load that is on until it is ended. */
export interface Load {
  /** Calls that have no outcome yet. */
  readonly underWay: number;
  /** Devices that are connected. */
  readonly connected: number;
  /** Offers nothing more, waits for what is under way, and for every device to have seen everything. */
  end(): Promise<History>;
  /** Offers nothing more and lets every device go, when nobody wants to know any more. */
  abandon(): void;
}

const tickMs = 10;
/** People who sign up and connect at the same time. */
const abreast = 4;
/** A minute of a load of a hundred a second: what a server that answers nothing at all costs us. */
const maxUnderWay = 10_000;
/** How long devices may take to see everything, and answers to end, once nothing new is sent. */
const settleMs = 60_000;

const openPeople = async (options: LoadOptions): Promise<LoadPerson[]> => {
  const people: LoadPerson[] = [];
  let opened = 0;
  const lane = async () => {
    while (opened < options.people) {
      opened += 1;
      const changesDocuments = (options.mutationsPerSecond ?? 0) + (options.recordsPerSecond ?? 0) > 0;
      people.push(await loadPerson({ ...options, changesDocuments }));
    }
  };
  await Promise.all(Array.from({ length: abreast }, lane));
  return people;
};

/**
 * Signs people up, connects their devices, and offers calls at a fixed pace whatever becomes of them (open loop).
 * Every message goes to all devices of its person. Ends with an error when so little was answered that the pace could
 * not be kept: then the figures would mean nothing.
 */
export const startLoad = async (options: LoadOptions): Promise<Load> => {
  const people = await openPeople(options);
  const underWay = new Set<Promise<void>>();
  let tooMany = false;
  const offer = (work: Promise<void>) => {
    const noted = work.finally(() => underWay.delete(noted));
    underWay.add(noted);
  };

  const { messagesPerSecond, answersPerSecond, callsPerSecond } = options;
  const { mutationsPerSecond = 0, recordsPerSecond = 0 } = options;
  const everyNth = answersPerSecond > 0 ? Math.round(messagesPerSecond / answersPerSecond) : Infinity;
  const personOf = (n: number) => people[n % people.length] as LoadPerson;
  /** Everybody by turns over both, whether there is an even number of people or not. */
  const carrierOf = (n: number) => ((n + Math.floor(n / people.length)) % 2 === 0 ? 'WebSocket' : 'REST');
  const message = (n: number) => personOf(n).write(carrierOf(n), n % everyNth === everyNth - 1);
  const streams = [
    { perSecond: messagesPerSecond, offered: 0, next: message },
    { perSecond: callsPerSecond, offered: 0, next: (n: number) => personOf(n).call() },
    { perSecond: mutationsPerSecond, offered: 0, next: (n: number) => personOf(n).documents.add() },
    { perSecond: recordsPerSecond, offered: 0, next: (n: number) => personOf(n).documents.record() },
  ];
  const startedMs = performance.now();
  const tick = () => {
    const seconds = (performance.now() - startedMs) / 1_000;
    for (const stream of streams) {
      for (; stream.offered < seconds * stream.perSecond; stream.offered += 1) {
        if (underWay.size >= maxUnderWay) tooMany = true;
        else offer(stream.next(stream.offered));
      }
    }
  };
  const timer = setInterval(tick, tickMs);
  const receivers = people.flatMap((person) => person.receivers);

  return {
    get underWay() {
      return underWay.size;
    },
    get connected() {
      return receivers.filter(({ live }) => live).length;
    },
    end: async () => {
      clearInterval(timer);
      await Promise.all(underWay);
      const history = await Promise.all(people.map((person) => person.end(settleMs)));
      if (tooMany) throw new Error(`more than ${maxUnderWay} calls were under way: the pace was not kept`);
      return history;
    },
    abandon: () => {
      clearInterval(timer);
      for (const one of receivers) one.close();
    },
  };
};
