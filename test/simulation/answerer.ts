import { AppError, type agentV1, type DomainEvent, syncV1, toAppError } from '@skein/contracts';
import { type RpcClient, rootContext } from '@skein/rpc';
import type { TurnReading } from '@skein/sync-client';
import type { Calls } from './calls.ts';
import type { Ground } from './disk.ts';
import { startMachine } from './machine.ts';

/** Answers messages as the agent does: hears of them on the bus, tells the text in pieces, ends the turn. */
export interface Answerer {
  /** Takes an event of the bus; however often it comes, there is one answer. */
  take(event: DomainEvent): void;
  /** Everything anew: session-sync may have forgotten ends of turns. */
  again(): void;
  /** The text so far, as `GET /v1/turns/{id}` tells it. */
  reading(turnId: string): TurnReading;
  /** As much of the agent as a gateway asks for. */
  readonly client: RpcClient<agentV1.AgentServiceService>;
}

const pieceMs = { min: 20, max: 300 };
const retryMs = { min: 300, max: 3_000 };
const hopMs = { min: 2, max: 30 };

/** The whole answer of a turn: always the same, so that anything shown of it is a beginning of it. */
export const answerText = (turnId: string): string =>
  Array.from({ length: 12 }, (_, at) => `${turnId.slice(-4)}·${at}🙂 `).join('');

/** An answerer of its own process, which stumbles at times: then it begins the answer again from its start. */
export const createAnswerer = ({ schedule, random, faults }: Ground, calls: Calls): Answerer => {
  const machine = startMachine('agent', 0);
  const sync = calls.client(machine, syncV1.SyncServiceService);
  const call = () => rootContext({ timeoutMs: 5_000 });
  const pause = (ms: number) => new Promise<void>((resolve) => schedule.after(ms, resolve));
  const turns = new Map<string, { readonly space: string; state: string; text: string }>();
  /** By turn: whether it is to be answered once more when the answer that is being made is done. */
  const busy = new Map<string, boolean>();

  const answer = async (turnId: string, space: string): Promise<void> => {
    const started = await sync.startTurn({ space, turnId }, call());
    const turn = { space, state: started.ended === '' ? 'streaming' : started.ended, text: '' };
    turns.set(turnId, turn);
    if (started.ended !== '') return;
    const { messageId, conversationId } = started;
    const points = [...answerText(turnId)];
    const outcome = random.pick(['completed', 'completed', 'completed', 'cancelled', 'failed']);
    const end = outcome === 'completed' ? points.length : random.between(0, points.length);
    while ([...turn.text].length < end) {
      await pause(random.between(pieceMs.min, pieceMs.max));
      if (faults.happens('crashAfter')) throw new AppError('unavailable', 'The answerer has died');
      const from = [...turn.text].length;
      const text = points.slice(from, Math.min(end, from + random.between(1, 15))).join('');
      turn.text += text;
      // Tokens are told once and may be lost.
      sync.publishTokens({ space, conversationId, turnId, messageId, from, text }, call()).catch(() => {});
    }
    const errorCode = outcome === 'failed' ? 'model_unavailable' : '';
    const wanted = { space, turnId, outcome, text: turn.text, errorCode, metaJson: '' };
    // Somebody else may say another end at the same time: the first one counts, for both.
    const [first] = await Promise.all([
      sync.endTurn(wanted, call()),
      random.chance(0.2)
        ? sync.endTurn({ ...wanted, outcome: 'cancelled', errorCode: '' }, call())
        : undefined,
    ]);
    turn.state = first.outcome;
  };

  const work = async (turnId: string, space: string): Promise<void> => {
    if (busy.has(turnId)) return;
    for (let over = false; !over; ) {
      busy.set(turnId, false);
      over = await answer(turnId, space).then(
        () => busy.get(turnId) === false,
        (error: unknown) => toAppError(error).code === 'not_found' && busy.get(turnId) === false,
      );
      if (!over) await pause(random.between(retryMs.min, retryMs.max));
    }
    busy.delete(turnId);
  };

  const reading = (turnId: string): TurnReading => {
    const { state = 'queued', text = '' } = turns.get(turnId) ?? {};
    return { id: turnId, state: state === 'completed' ? 'done' : state, text };
  };

  return {
    take: ({ type, data }) => {
      if (type === 'message.created' && 'turnId' in data && data.turnId !== undefined)
        void work(data.turnId, data.space);
    },
    again: () => {
      for (const turnId of busy.keys()) busy.set(turnId, true);
      for (const [turnId, { space }] of turns) void work(turnId, space);
    },
    reading,
    client: new Proxy(
      {
        getTurn: async ({ turnId }: agentV1.GetTurnRequest) => {
          await pause(random.between(hopMs.min, hopMs.max));
          return { turn: reading(turnId) };
        },
      },
      {
        get: (part, name) =>
          Reflect.get(part, name) ??
          (async () => {
            throw new AppError('unavailable', 'Not part of the simulation');
          }),
      },
    ) as unknown as RpcClient<agentV1.AgentServiceService>,
  };
};
