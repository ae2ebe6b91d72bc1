import type { SessionState } from '@skein/sync-client';
import { type ClassicClient, classicDiffers } from './classic.ts';
import { liveSagas } from './recording-oracle.ts';
import type { Store } from './store.ts';
import { runningTurns } from './turn-oracle.ts';

/** Everybody whose rest is waited for. */
export interface Restless {
  readonly devices: readonly { readonly id: string; readonly waiting: number }[];
  /** Who follows spaces. */
  readonly followers: readonly { readonly id: string; readonly user: string; readonly state: SessionState }[];
  readonly classics: readonly ClassicClient[];
  /** What is on its way beside the spaces: requests, deliveries. */
  readonly waiting: Readonly<Record<string, number>>;
  readonly teams: readonly string[];
}

/** Longer than a classic client waits before it compares or sends again: one that is in a loop is never quiet so long. */
const quietMs = 10_000;

/** What needs no question to the database: a statement costs more than everything else. */
const among = ({ devices, followers, classics, waiting }: Restless, nowMs: number): string | undefined => {
  const busy = devices.find(({ waiting }) => waiting > 0);
  if (busy) return `${busy.id} has ${busy.waiting} unanswered`;
  const underway = Object.entries(waiting).find(([, count]) => count > 0);
  if (underway) return `there are ${underway[1]} ${underway[0]}`;
  const sending = classics.find(({ sentAtMs }) => nowMs - sentAtMs < quietMs);
  if (sending) return `${sending.id} still sends documents to and fro`;
  const reached = new Map<string, string>();
  for (const { id, state } of followers)
    for (const [space, { position, awaiting }] of Object.entries(state.spaces)) {
      const at = `${position?.epoch} ${position?.offset}`;
      const others = reached.get(space) ?? at;
      reached.set(space, at);
      if (awaiting || at !== others) return `${id} is at ${at} of ${space}, and others at ${others}`;
    }
  return undefined;
};

/** What a classic client has otherwise than the own space of its person. */
const ofClassics = async (store: Store, { classics, teams }: Restless): Promise<string | undefined> => {
  const spaces = classics.length > 0 ? await store.spaces() : [];
  for (const one of classics) {
    const own = spaces.find(({ id, owner }) => owner === one.user && !teams.includes(id));
    const differs = own && classicDiffers(one, await store.documents(own.id));
    if (differs) return differs;
  }
  return undefined;
};

/** What somebody still waits for; undefined once everything has come to rest. */
export const unrest = async (store: Store, all: Restless, nowMs: number): Promise<string | undefined> => {
  const waits = among(all, nowMs);
  if (waits) return waits;
  const members = await store.members();
  const heads = new Map<string, string>();
  for (const { id } of await store.spaces()) {
    const { epoch, entries } = await store.log(id);
    heads.set(id, `${epoch} ${entries.length}`);
    const [running] = runningTurns(entries);
    if (running !== undefined) return `the turn ${running} of ${id} has no end`;
  }
  for (const { id, user, state } of all.followers) {
    for (const team of all.teams)
      if ((members.get(team)?.has(user) ?? false) !== Object.hasOwn(state.spaces, team))
        return `${id} of ${user} does not follow what it should: ${team}`;
    for (const [space, { position }] of Object.entries(state.spaces)) {
      const at = `${position?.epoch} ${position?.offset}`;
      if (heads.get(space) !== at) return `${id} is at ${at} of ${space}, not ${heads.get(space)}`;
    }
  }
  const [saga] = await liveSagas(store.database);
  if (saga) return `a saga is still ${saga.state}`;
  const { buried } = await store.effects();
  return buried > 0 ? `there are ${buried} dead letters` : ofClassics(store, all);
};
