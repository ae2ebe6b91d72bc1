import { join } from 'node:path';
import type { syncV1 } from '@skein/contracts';
import { type Policy, policyOf, shippedPolicies } from '@skein/sync-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { actingFor, type Running, startOnNewDatabase } from './harness.ts';
import { hlc, origin, writing } from './writing.ts';

let sync: Running;
beforeAll(async () => {
  sync = await startOnNewDatabase();
});
afterAll(() => sync.stop());

const { mutate } = writing(() => sync);

type Device = 'phone' | 'laptop';
interface Result {
  readonly outcome: string;
  readonly code?: string;
  readonly version?: number;
}

/** The shipped collections but the session, which is one of the newest-wins kind, and one nobody has named. */
const collections = [...Object.keys(shippedPolicies).filter((name) => name !== 'session'), 'anything_else'];
const orders: readonly (readonly [Device, Device])[] = [
  ['phone', 'laptop'],
  ['laptop', 'phone'],
];
/** The laptop wrote later, by both their clocks. */
const stamps: Record<Device, string> = { phone: hlc(1_000, 'phone'), laptop: hlc(2_000, 'laptop') };

const person = (...parts: readonly string[]) => parts.join(' ');
const told = ({ outcome, code }: Result) => (code === undefined ? outcome : `${outcome}: ${code}`);
const plain = (value: unknown) => (value === undefined ? '–' : `\`${JSON.stringify(value)}\``);
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
const code = (text: string) => `\`${text}\``;
const strategyOf = (collection: string) => policyOf(collection).strategy.replace('_', ' ');

const documentOf = async (user: string, collection: string): Promise<unknown> => {
  const request = { space: 'personal', collection, limit: 0, cursor: '' };
  const [one] = (await sync.gateway.listDocuments(request, actingFor(user))).items;
  return one && (JSON.parse(one.valueJson) as unknown);
};

const keptOf = async (user: string): Promise<syncV1.Conflict | undefined> => {
  const request = { space: 'personal', state: '', limit: 0, cursor: '' };
  const { items } = await sync.gateway.listConflicts(request, actingFor(user));
  expect(items.length).toBeLessThan(2);
  return items[0];
};

const loserOf = ({ winner, serverJson, clientJson }: syncV1.Conflict): unknown => {
  const json = winner === 'server' ? clientJson : serverJson;
  return json === undefined ? undefined : JSON.parse(json);
};

/** The losing side comes back: by undo, or by choosing it where a person has to choose. */
const bringBack = async (user: string, { id, state, version, winner }: syncV1.Conflict): Promise<void> => {
  const common = { space: 'personal', conflictId: id, origin: undefined };
  if (state === 'open')
    await sync.gateway.resolveConflict(
      { ...common, choice: winner === 'server' ? 'client' : 'server', version },
      actingFor(user),
    );
  else await sync.gateway.undoConflict(common, actingFor(user));
};

const base = { text: 'base', clientNotes: 'base' };
const begin = (user: string, collection: string, value: unknown = base) =>
  mutate(user, 'first', [
    {
      ...{ seq: 1, collection, id: 'd', baseVersion: 0, hlc: hlc(1, 'first') },
      ops: [{ op: 'set', path: [], value }],
    },
  ]);

/** What each of two devices did while it was offline; they come back in an order. */
const comeBack = async (
  user: string,
  collection: string,
  order: readonly [Device, Device],
  did: Record<Device, readonly unknown[]>,
): Promise<readonly [Result, Result]> => {
  await begin(user, collection);
  const results: Result[] = [];
  for (const device of order) {
    const mutation = { seq: 1, collection, id: 'd', baseVersion: 1, hlc: stamps[device], ops: did[device] };
    const { results: own } = await mutate(user, device, [mutation]);
    results.push(own[0]);
  }
  return results as [Result, Result];
};

/** Rows of all cases at once: each has a person of its own. */
const rowsOf = <T>(cases: readonly T[], row: (one: T) => Promise<string[]>): Promise<string[][]> =>
  Promise.all(cases.map(row));

const edits = (field: string): Record<Device, readonly unknown[]> => ({
  phone: [{ op: 'set', path: [field], value: 'phone' }],
  laptop: [{ op: 'set', path: [field], value: 'laptop' }],
});

const sameField = async (): Promise<string> => {
  const cases = collections.flatMap((collection) =>
    (collection === 'diagnosis_result' ? ['text', 'clientNotes'] : ['text']).flatMap((field) =>
      orders.map((order) => ({ collection, field, order })),
    ),
  );
  const rows = await rowsOf(cases, async ({ collection, field, order }) => {
    const user = person('same', collection, field, ...order);
    const [first, second] = await comeBack(user, collection, order, edits(field));
    expect(first).toMatchObject({ outcome: 'applied', version: 2 });
    const stands = (await documentOf(user, collection)) as Record<string, unknown>;
    const kept = await keptOf(user);
    if (!kept) throw new Error('two writes of one field leave a conflict');
    const loser = loserOf(kept);
    // Nothing is lost: one of them stands, the other is kept.
    expect([stands[field], loser].sort()).toEqual(['laptop', 'phone']);
    await bringBack(user, kept);
    const after = (await documentOf(user, collection)) as Record<string, unknown>;
    expect(after[field]).toBe(loser);
    return [
      ...[code(collection), strategyOf(collection), code(field), order[0], told(second)],
      ...[String(stands[field]), String(loser), kept.reason],
      `${kept.state === 'open' ? 'resolve' : 'undo'} → ${after[field]}`,
    ];
  });
  return table(
    [
      'collection',
      'strategy',
      'field',
      'first back',
      'second is told',
      'stands',
      'kept',
      'reason',
      'brought back by',
    ],
    rows,
  );
};

const otherFields = async (): Promise<string> => {
  const both: readonly (readonly [string, Record<Device, readonly unknown[]>])[] = [
    ['different fields', { phone: edits('text').phone, laptop: edits('clientNotes').laptop }],
    [
      'one set, each adds an item',
      {
        phone: [{ op: 'add', path: ['tags'], value: 'phone' }],
        laptop: [{ op: 'add', path: ['tags'], value: 'laptop' }],
      },
    ],
    [
      'one counter, each adds to it',
      {
        phone: [{ op: 'increment', path: ['count'], value: 2 }],
        laptop: [{ op: 'increment', path: ['count'], value: 3 }],
      },
    ],
  ];
  const cases = both.flatMap(([what, did]) => collections.map((collection) => ({ what, did, collection })));
  const rows = await rowsOf(cases, async ({ what, did, collection }) => {
    const ends: unknown[] = [];
    const conflicts: string[] = [];
    for (const order of orders) {
      const user = person('other', what, collection, ...order);
      await comeBack(user, collection, order, did);
      ends.push(await documentOf(user, collection));
      const kept = await keptOf(user);
      conflicts.push(kept ? `${kept.state}, kept ${plain(loserOf(kept))}` : 'none');
    }
    return [what, code(collection), ...ends.map(plain), [...new Set(conflicts)].join('; ')];
  });
  return table(['both wrote', 'collection', 'phone first', 'laptop first', 'conflict'], rows);
};

const deleteAgainstEdit = async (): Promise<string> => {
  const cases = collections.flatMap((collection) => orders.map((order) => ({ collection, order })));
  const rows = await rowsOf(cases, async ({ collection, order }) => {
    const user = person('delete', collection, ...order);
    const did = { phone: [{ op: 'delete', path: [] }], laptop: edits('text').laptop };
    const [, second] = await comeBack(user, collection, order, did);
    const stands = await documentOf(user, collection);
    const kept = await keptOf(user);
    let back = '–';
    if (kept) {
      await bringBack(user, kept);
      back = `undo → ${plain(await documentOf(user, collection))}`;
    }
    return [
      ...[code(collection), policyOf(collection).deletes.replace('_', ' ')],
      ...[order[0] === 'phone' ? 'the delete' : 'the edit', told(second)],
      ...[plain(stands), kept ? plain(loserOf(kept)) : '–', back],
    ];
  });
  return table(
    ['collection', 'rule', 'first back', 'second is told', 'stands', 'kept', 'brought back by'],
    rows,
  );
};

/**
 * A classic client as they are: it takes what has a higher version, sends its own when that is higher, and sends it as
 * well when versions are equal and the content is not. It comes back and goes on until it has nothing to say.
 */
const classicDevice = (user: string, type: string) => {
  let mine = { data: '', version: 0 };
  let seen = 0;
  let sends = 0;
  const outcomes: string[] = [];
  const hear = ({ dataJson, version }: { dataJson: string; version: number }): boolean => {
    if (version < mine.version) return true;
    const clash = version === mine.version && dataJson !== mine.data;
    if (version > mine.version) mine = { data: dataJson, version };
    return clash;
  };
  const catchUp = async (): Promise<boolean> => {
    const request = { afterOffset: seen, versions: [], compare: false, deviceId: '', cursor: '' };
    const { items, offset } = await sync.gateway.readClassic(request, actingFor(user));
    seen = offset;
    return items.map(hear).some(Boolean);
  };
  const send = async (timestamp: number): Promise<void> => {
    sends += 1;
    const answer = await sync.gateway.applyClassic(
      {
        origin: origin('classic'),
        data: { id: 'd', type, dataJson: mine.data, timestamp, version: mine.version },
        seenOffset: seen,
      },
      actingFor(user),
    );
    outcomes.push(answer.outcome);
    // A settled outcome is pushed to the sender too; a conflict is put to the person.
    if (answer.outcome === 'settled' && answer.server) hear(answer.server);
  };
  return {
    catchUp,
    edit: (value: unknown) => {
      mine = { data: JSON.stringify(value), version: mine.version + 1 };
    },
    /** What is pushed on connecting may be one version behind what it holds, or another content under the same. */
    comeBack: async (timestamp: number): Promise<void> => {
      let wants = true;
      await catchUp();
      for (let round = 0; wants && round < 5; round += 1) {
        await send(timestamp);
        wants = outcomes.at(-1) !== 'conflict' && (await catchUp());
      }
    },
    get state() {
      return { value: JSON.parse(mine.data) as unknown, version: mine.version, sends, outcomes };
    },
  };
};

const classicBeside = async (): Promise<string> => {
  const cases = collections.flatMap((collection) =>
    (['classic', 'phone'] as const).map((first) => ({ collection, first })),
  );
  const rows = await rowsOf(cases, async ({ collection, first }) => {
    const user = person('classic', collection, first);
    await begin(user, collection);
    const classic = classicDevice(user, collection);
    await classic.catchUp();
    classic.edit({ ...base, text: 'classic', clientNotes: 'classic' });
    const modern = async () => {
      const mutation = {
        ...{ seq: 1, collection, id: 'd', baseVersion: 1, hlc: stamps.phone },
        ops: edits('text').phone,
      };
      return told((await mutate(user, 'phone', [mutation])).results[0]);
    };
    // By its timestamp the classic client wrote last.
    let result = '';
    if (first === 'phone') result = await modern();
    await classic.comeBack(5_000);
    if (first === 'classic') result = await modern();
    await classic.catchUp();
    const stands = await documentOf(user, collection);
    const { value, version, sends, outcomes } = classic.state;
    const kept = await keptOf(user);
    if (kept?.state === 'open') {
      // Until the person has chosen, the classic client keeps what it has.
      await bringBack(user, kept);
      await classic.catchUp();
      const settled = classic.state;
      expect(settled.value).toEqual(await documentOf(user, collection));
      expect(settled.sends).toBe(sends);
    } else expect(value).toEqual(stands);
    expect(sends).toBe(1);
    const { document } = await sync.gateway.getDocument(
      { space: 'personal', collection, id: 'd' },
      actingFor(user),
    );
    expect(classic.state.version).toBe(document?.version);
    return [
      ...[code(collection), first, outcomes.join(), result, plain(stands)],
      ...[String(version), kept ? `${kept.state}, kept ${plain(loserOf(kept))}` : 'none'],
    ];
  });
  return table(
    ['type', 'first back', 'classic is told', 'phone is told', 'stands', 'version there', 'conflict'],
    rows,
  );
};

const rules = (): string =>
  table(
    ['collection', 'strategy', 'delete against edit', 'rules by field'],
    collections.map((collection) => {
      const { strategy, deletes, resolvers = {}, otherwise }: Policy = policyOf(collection);
      const own = Object.entries(resolvers).map(([field, one]) => `${code(field)} ${one}`);
      const rest = otherwise ? [`otherwise ${otherwise}`] : [];
      return [
        code(collection),
        strategy.replace('_', ' '),
        deletes.replace('_', ' '),
        [...own, ...rest].join(', ') || '–',
      ];
    }),
  );

it('two devices that were offline come back in either order: what stands, what is kept, how it is brought back', async () => {
  const page = `# What becomes of conflicts

<!-- Made by services/session-sync/test/conflict-outcomes.int.test.ts with the real service; "vitest run -u" writes it. -->

Two devices saw version 1 of a document, \`${JSON.stringify(base)}\`, went offline, changed it,
and came back one after the other. The phone wrote first and the laptop later, by both their clocks. What stands is what
every device has; what is kept is in the conflict log (\`GET /v1/spaces/{space}/conflicts\`), and comes back by
\`undo\`, or by \`resolve\` where a person has to choose. How that works: [PROTOCOL.md](../PROTOCOL.md#conflicts).

${rules()}

## Both wrote one field

${await sameField()}

## Both wrote, but nothing has to be lost

Only \`merge\` joins sets and counters; elsewhere they are fields like any other.

${await otherFields()}

## One deleted, the other edited

The phone deleted the document, the laptop wrote \`text\`.

${await deleteAgainstEdit()}

## A classic client in the same document

A classic client knows whole values and versions only. Offline it changed both fields and called that version 2; the
phone wrote \`text\`. The classic client sends its value once, whatever happens, and then has what everybody has.

${await classicBeside()}
`;
  await expect(page).toMatchFileSnapshot(
    join(import.meta.dirname, '../../../docs/reference/conflict-outcomes.md'),
  );
}, 120_000);
