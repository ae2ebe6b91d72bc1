import type { LogEntry } from './history.ts';
import type { Remains } from './remains.ts';

/** Role by person. */
type Roles = ReadonlyMap<string, string>;

const rolesAfter = (before: Roles, { type, data }: LogEntry): Roles => {
  const { userId = '', role = '' } = data;
  if (type === 'member.removed') return new Map([...before].filter(([user]) => user !== userId));
  return type === 'member.added' || type === 'member.changed' ? new Map([...before, [userId, role]]) : before;
};

/** Who is in a space after each offset of its log. */
const rolesOf = (first: Roles, entries: readonly LogEntry[]): readonly Roles[] => {
  const all = [first];
  for (const entry of entries) all.push(rolesAfter(all.at(-1) ?? first, entry));
  return all;
};

/** Only members write, viewers only about themselves, and there is always an owner. */
const writers = (space: string, entries: readonly LogEntry[], roles: readonly Roles[]): string[] =>
  entries.flatMap(({ offset, type, actor }, at) => {
    const wrong: string[] = [];
    const role = roles[at]?.get(actor.user ?? '');
    if (actor.kind === 'user' && role === undefined && type !== 'member.added')
      wrong.push(`membership: ${actor.user}, who is not in ${space}, has written ${type} at ${offset}`);
    if (role === 'viewer' && type.startsWith('document.'))
      wrong.push(`membership: ${actor.user}, who only views ${space}, has written ${type} at ${offset}`);
    if (![...(roles[at + 1]?.values() ?? [])].includes('owner'))
      wrong.push(`membership: ${space} has no owner after ${offset}`);
    return wrong;
  });

/**
 * Nobody gets past the event that removed them before somebody at least asked to let them in again, every log names
 * the members the database has, and in the end every device follows what its person may read and nothing else.
 */
export const membership = (remains: Remains): string[] => {
  const { history, logs, current, members, teams, askedAtMs, replicas, devices } = remains;
  const wrong: string[] = [];
  for (const { space, epoch, entries } of logs) {
    const first = teams.get(space);
    if (!first) continue;
    const roles = rolesOf(first, entries);
    wrong.push(...writers(space, entries, roles));
    for (const { device, user, offset, atMs, ...sight } of history.sights) {
      if (sight.space !== space || sight.epoch !== epoch || roles[offset]?.has(user)) continue;
      const entry = entries[offset - 1];
      if (entry?.type === 'member.removed' && entry.data.userId === user) continue;
      const back = entries
        .slice(offset)
        .find(({ type, data }) => type === 'member.added' && data.userId === user);
      if (atMs < (askedAtMs.get(back?.actor.platform ?? '') ?? Number.POSITIVE_INFINITY))
        wrong.push(`membership: ${device} of ${user} has seen ${offset} of ${space}, who is not in it there`);
    }
  }
  for (const { space, entries } of current) {
    const first = teams.get(space);
    if (!first) continue;
    const now = members.get(space) ?? new Map<string, string>();
    const logged = rolesOf(first, entries).at(-1) ?? first;
    const text = (roles: Roles) => [...roles].sort().join(' ');
    if (text(now) !== text(logged))
      wrong.push(`membership: ${space} has the members ${text(now)}, and its log says ${text(logged)}`);
    for (const { id, user } of devices) {
      const follows = replicas.some((one) => one.device === id && one.space === space);
      if (follows !== now.has(user))
        wrong.push(`membership: ${id} of ${user} ${follows ? 'still follows' : 'does not follow'} ${space}`);
    }
  }
  return wrong;
};
