import { events } from './event-oracle.ts';
import { type Answer, digestOf, type Known, type Log, type LogEntry } from './history.ts';
import { membership } from './membership-oracle.ts';
import { recordingFaults } from './recording-oracle.ts';
import type { Remains } from './remains.ts';
import { turns } from './turn-oracle.ts';
import { type Mark, policies } from './workload.ts';

const logKey = (space: string, epoch: string) => `${space} ${epoch}`;
/** A classic client has no seq. */
const writer = ({ data: { by } }: LogEntry) => (by?.seq !== undefined ? `${by.device}#${by.seq}` : undefined);
const answerKey = (space: string, by: string | undefined, offset: number | undefined) =>
  `${space} ${by} ${offset}`;
const documentOf = ({ collection = '', id = '' }: LogEntry['data']) => `${collection}/${id}`;

/** The documents after each offset of a log, as digests. */
const digestsOf = ({ entries }: Log): readonly string[] => {
  const documents = new Map<string, Known>();
  const digests = [''];
  for (const { type, data } of entries) {
    if (type === 'document.changed') {
      const { collection = '', id = '', version = 0, hash = '' } = data;
      documents.set(documentOf(data), { collection, id, version, hash });
    } else if (type === 'document.deleted') documents.delete(documentOf(data));
    digests.push(type.startsWith('document.') ? digestOf(documents.values()) : (digests.at(-1) as string));
  }
  return digests;
};

/** The log is gap-free from 1, and no mutation is in it twice. */
const soundLog = ({ space, entries }: Log): string[] => {
  const wrong: string[] = [];
  const seen = new Map<string, number>();
  for (const [at, entry] of entries.entries()) {
    if (entry.offset !== at + 1)
      wrong.push(`gap: offset ${entry.offset} of ${space} stands in place ${at + 1}`);
    const { clientMessageId } = entry.data;
    const by = writer(entry) ?? (entry.type === 'message.created' ? clientMessageId : undefined);
    if (by === undefined) continue;
    const before = seen.get(by);
    if (before !== undefined)
      wrong.push(`duplicate: ${by} is in ${space} at ${before} and at ${entry.offset}`);
    seen.set(by, entry.offset);
  }
  return wrong;
};

/** What was deleted stays away, unless somebody makes it anew or the rules let an edit bring it back. */
const noResurrection = (log: Log, answers: ReadonlyMap<string, readonly Answer[]>): string[] => {
  const wrong: string[] = [];
  const deletedAt = new Map<string, number>();
  for (const entry of log.entries) {
    const { type, data } = entry;
    const document = documentOf(data);
    if (type === 'document.deleted') deletedAt.set(document, data.version ?? 0);
    if (type !== 'document.changed') continue;
    const tombstone = deletedAt.get(document);
    deletedAt.delete(document);
    if (tombstone === undefined) continue;
    const rules = (policies as Record<string, { readonly deletes: string }>)[data.collection ?? ''];
    // A restore lets a device use a seq again: all that was answered under it might be this one.
    const bases = answers.get(answerKey(log.space, writer(entry), entry.offset)) ?? [];
    const knew = bases.length > 0 && bases.every(({ mutation }) => mutation.baseVersion > 0);
    if (rules?.deletes === 'delete_wins' && knew)
      wrong.push(`resurrection: ${document} of ${log.space} was deleted, and is back at ${entry.offset}`);
  }
  return wrong;
};

const causality = ({ history, logs }: Remains): string[] => {
  const digests = new Map(logs.map((log) => [logKey(log.space, log.epoch), digestsOf(log)]));
  return history.sights.flatMap(({ device, space, epoch, offset, digest }) => {
    const there = digests.get(logKey(space, epoch))?.[offset];
    return there === digest
      ? []
      : [`causality: ${device} at ${offset} of ${space} has "${digest}", and the log says "${there}"`];
  });
};

/** What was acknowledged is in the log, unless a restore has taken it away. */
const acknowledged = ({ history, logs, current, lastSeqs }: Remains): string[] => {
  const wrong: string[] = [];
  const found = (of: readonly Log[], { device, space, mutation }: Answer, offset: number) =>
    of.some((log) => {
      const entry = log.space === space ? log.entries[offset - 1] : undefined;
      return entry && writer(entry) === `${device}#${mutation.seq}`;
    });
  for (const answer of history.answers) {
    const result = answer.result.original ?? answer.result;
    const { offset } = result;
    if (offset !== undefined && !found(logs, answer, offset))
      wrong.push(
        `lost: ${answer.device}#${answer.mutation.seq} was ${result.outcome} at ${offset} of ${answer.space}, where it is not`,
      );
    // Whatever became of it, the device has got past it; a restored log may know less.
    const restored = logs.length > current.length;
    const last = lastSeqs.find(({ space, device }) => space === answer.space && device === answer.device);
    if (!restored && (last?.lastSeq ?? 0) < answer.mutation.seq)
      wrong.push(`lost: the server has forgotten that ${answer.device} got to ${answer.mutation.seq}`);
  }
  return wrong;
};

/** Every message that was taken is where the server said. */
const messagesKept = ({ history, logs }: Remains): string[] =>
  history.messages.flatMap(({ device, space, messageId, offset }) =>
    logs.some((log) => log.space === space && log.entries[offset - 1]?.data.messageId === messageId)
      ? []
      : [`lost: message ${messageId} of ${device} was taken at ${offset} of ${space}, where it is not`],
  );

/** Every mark that is in the final log is in its document, and counted exactly once. */
const marksOnce = ({ documents }: Remains): string[] => {
  const wrong: string[] = [];
  for (const [space, all] of documents)
    for (const { collection, id, value } of all) {
      if (collection !== 'ledger') continue;
      const { marks = [], sum = 0 } = value as { marks?: readonly Mark[]; sum?: number };
      const counted = marks.reduce((total, { counts }) => total + counts, 0);
      if (counted !== sum)
        wrong.push(`duplicate: ${collection}/${id} of ${space} adds up to ${counted}, not ${sum}`);
    }
  return wrong;
};

/** Of what was answered as done, every mark is there. */
const marksKept = ({ history, logs, current, documents }: Remains): string[] => {
  if (logs.length > current.length) return [];
  return history.answers.flatMap(({ device, space, mutation, result }) => {
    const [op] = mutation.ops;
    const { outcome } = result.original ?? result;
    if (mutation.collection !== 'ledger' || op?.op !== 'add' || !['applied', 'merged'].includes(outcome))
      return [];
    const { mark } = op.value as unknown as Mark;
    const document = documents
      .get(space)
      ?.find(({ collection, id }) => collection === 'ledger' && id === mutation.id);
    const { marks = [] } = (document?.value ?? {}) as { marks?: readonly Mark[] };
    return marks.some((one) => one.mark === mark)
      ? []
      : [
          `lost: ${mark} of ${device}#${mutation.seq} in ${space} was ${outcome} and is not in ledger/${mutation.id}`,
        ];
  });
};

const convergence = ({ current, documents, replicas }: Remains): string[] => {
  const wrong: string[] = [];
  for (const { space, epoch, entries } of current) {
    const digest = digestOf(documents.get(space) ?? []);
    for (const replica of replicas) {
      if (replica.space !== space) continue;
      if (replica.epoch !== epoch || replica.offset !== entries.length)
        wrong.push(
          `convergence: ${replica.device} rests at ${replica.offset} of ${space}, whose head is ${entries.length}`,
        );
      else if (replica.digest !== digest)
        wrong.push(
          `convergence: ${replica.device} has "${replica.digest}" in ${space}, the database "${digest}"`,
        );
    }
  }
  return wrong;
};

/** Everything that is not as promised, in words. */
export const violations = (remains: Remains): readonly string[] => {
  const answers = Map.groupBy(remains.history.answers, ({ space, device, mutation, result }) =>
    answerKey(space, `${device}#${mutation.seq}`, (result.original ?? result).offset),
  );
  return [
    ...remains.history.wrong,
    ...remains.logs.flatMap(soundLog),
    ...remains.logs.flatMap((log) => noResurrection(log, answers)),
    ...causality(remains),
    ...acknowledged(remains),
    ...marksOnce(remains),
    ...marksKept(remains),
    ...messagesKept(remains),
    ...convergence(remains),
    ...membership(remains),
    ...turns(remains),
    ...events(remains.current, remains.stored, remains.effects),
    ...recordingFaults(remains.recordings, remains.asked, remains.logs.length > remains.current.length),
  ];
};
