import { AppError } from '@skein/contracts';
import { createLogger } from '@skein/telemetry';
import { describe, expect, it } from 'vitest';
import type { Model, ModelPart, Session, TurnStore } from '../src/app/ports.ts';
import { runTurn } from '../src/app/run-turn.ts';
import type { Ending, HeldTurn } from '../src/domain/turn.ts';

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });

const contextFor = ({ id }: { id: string }, _: number, signal: AbortSignal) => ({
  caller: '',
  signal,
  deadlineMs: Number.POSITIVE_INFINITY,
  correlationId: id,
});

const held: HeldTurn = {
  id: 't1',
  space: 's1',
  conversationId: 'c1',
  questionId: 'q1',
  messageId: '',
  userId: 'u1',
  persona: 'cruz',
  traceparent: undefined,
  state: 'streaming',
  text: '',
  fence: 1,
  attempt: 1,
  cancelRequested: false,
  decided: undefined,
};

/** A session and a store that remember what they were told, and a clock that only moves when asked. */
const stage = () => {
  const tokens: { from: number; text: string }[] = [];
  const ends: Ending[] = [];
  const decided: Ending[] = [];
  const finished: string[] = [];
  const noticed: string[] = [];
  const state = {
    owned: true,
    cancelRequested: false,
    endFailures: 0,
    refuse: false,
    alreadyEnded: undefined as undefined | 'cancelled',
  };
  const sleepers: { ms: number; wake: () => void }[] = [];
  const session: Session = {
    roleIn: async () => 'owner',
    start: async () => ({ messageId: 'a1', ended: state.alreadyEnded }),
    end: async (_, ending) => {
      if (state.refuse) throw new AppError('not_found');
      if (state.endFailures-- > 0) throw new AppError('unavailable');
      ends.push(ending);
      return ending.outcome;
    },
    publishTokens: async (_, from, text) => void tokens.push({ from, text }),
    history: async () => [],
    search: async () => [],
    notes: async () => [],
    memoryEnabled: async () => true,
  };
  const store: TurnStore = {
    add: async () => true,
    get: async () => undefined,
    claim: async () => [],
    renew: async () => state.owned,
    releaseOwn: async () => {},
    save: async () => (state.owned ? { cancelRequested: state.cancelRequested } : undefined),
    decide: async (_, ending) => {
      if (state.owned) decided.push(ending);
      return state.owned;
    },
    finish: async (_, outcome) => void finished.push(outcome),
    requestCancel: async () => undefined,
  };
  const delay = (ms: number) => new Promise<void>((wake) => sleepers.push({ ms, wake }));
  /** Wakes everybody who sleeps now, and lets them act. */
  const tick = async () => {
    for (const { wake } of sleepers.splice(0)) wake();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { tokens, ends, decided, finished, noticed, state, session, store, delay, tick };
};

/** A model that says what a test hands it, when it hands it. */
const handModel = () => {
  const queue: (ModelPart | 'end' | Error)[] = [];
  let wake = () => {};
  const give = async (part: ModelPart | 'end' | Error) => {
    queue.push(part);
    wake();
    await new Promise((resolve) => setImmediate(resolve));
  };
  const model: Model = {
    name: 'hand',
    answer: async function* (_, ctx) {
      ctx.signal.addEventListener('abort', () => wake());
      for (;;) {
        const part = queue.shift();
        if (part === undefined) {
          if (ctx.signal.aborted) return;
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        if (part === 'end') return;
        if (part instanceof Error) throw part;
        yield part;
      }
    },
  };
  return { model, give };
};

const start = (over: Partial<HeldTurn> = {}) => {
  const on = stage();
  const { model, give } = handModel();
  const stop = new AbortController();
  const cancel = new AbortController();
  const done = runTurn({ ...held, ...over }, stop.signal, cancel.signal, {
    store: on.store,
    session: on.session,
    model,
    log,
    delay: on.delay,
    turnTimeoutMs: 60_000,
    noticed: (_, what) => void on.noticed.push(what),
    contextFor,
  });
  /** Moves the clock until the turn is over. */
  const settle = async () => {
    let over = false;
    const end = () => {
      over = true;
    };
    done.then(end, end);
    for (let round = 0; round < 100 && !over; round += 1) await on.tick();
    await done;
  };
  return { ...on, give, stop, cancel, settle };
};

describe('a turn', () => {
  it('streams the text and ends it once with the whole text', async () => {
    const turn = start();
    await turn.give({ text: 'Hello ' });
    await turn.tick();
    await turn.give({ text: 'world' });
    await turn.give('end');
    await turn.settle();
    expect(turn.tokens.map((token) => token.text).join('')).toBe('Hello world');
    expect(turn.ends).toEqual([
      { outcome: 'completed', text: 'Hello world', errorCode: '', meta: { model: 'hand' } },
    ]);
    expect(turn.finished).toEqual(['completed']);
    expect(turn.noticed).toEqual(['text', 'completed']);
  });

  it('counts `from` in code points and never splits a character', async () => {
    const turn = start();
    const [high, low] = ['\ud83d', '\ude00'];
    await turn.give({ text: `你好${high}` });
    await turn.tick();
    await turn.give({ text: `${low}!` });
    await turn.give('end');
    await turn.settle();
    expect(turn.tokens).toEqual([
      { from: 0, text: '你好' },
      { from: 2, text: '😀!' },
    ]);
  });

  it('ends as cancelled with the text so far when somebody asks', async () => {
    const turn = start();
    await turn.give({ text: 'so far' });
    await turn.tick();
    turn.cancel.abort();
    await turn.settle();
    expect(turn.ends).toEqual([
      { outcome: 'cancelled', text: 'so far', errorCode: '', meta: { model: 'hand' } },
    ]);
  });

  it('finds a cancel in the store when the news of it was lost', async () => {
    const turn = start();
    await turn.give({ text: 'so far' });
    turn.state.cancelRequested = true;
    await turn.settle();
    expect(turn.ends.map((end) => end.outcome)).toEqual(['cancelled']);
  });

  it('ends as failed with a code and the text so far when the model fails', async () => {
    const turn = start();
    await turn.give({ text: 'half' });
    await turn.give(new AppError('unavailable', 'the model is away'));
    await turn.settle();
    expect(turn.ends).toEqual([
      { outcome: 'failed', text: 'half', errorCode: 'unavailable', meta: { model: 'hand' } },
    ]);
  });

  it('says nothing more once another owner has it', async () => {
    const turn = start();
    await turn.give({ text: 'mine' });
    turn.state.owned = false;
    await turn.settle();
    expect(turn.ends).toEqual([]);
    expect(turn.finished).toEqual([]);
  });

  it('tells the end again until the session has heard it', async () => {
    const turn = start();
    turn.state.endFailures = 3;
    await turn.give({ text: 'told' });
    await turn.give('end');
    await turn.settle();
    expect(turn.ends.map((end) => end.text)).toEqual(['told']);
  });

  it('stops telling when another owner has taken over meanwhile', async () => {
    const turn = start();
    turn.state.endFailures = 3;
    await turn.give({ text: 'mine' });
    await turn.give('end');
    await turn.tick();
    turn.state.owned = false;
    await expect(turn.settle()).rejects.toThrow();
    expect(turn.ends).toEqual([]);
  });

  it('ends here as failed when the session will never take it', async () => {
    const turn = start();
    turn.state.refuse = true;
    await turn.give({ text: 'for nobody' });
    await turn.give('end');
    await turn.settle();
    expect(turn.finished).toEqual(['failed']);
  });

  it('tells the end an earlier owner had decided, without asking the model', async () => {
    const decided: Ending = { outcome: 'completed', text: 'decided', errorCode: '', meta: {} };
    const turn = start({ decided, attempt: 2 });
    await turn.settle();
    expect(turn.ends).toEqual([decided]);
    expect(turn.tokens).toEqual([]);
  });

  it('learns from the session that it has ended', async () => {
    const on = stage();
    on.state.alreadyEnded = 'cancelled';
    const { model } = handModel();
    const never = new AbortController().signal;
    await runTurn(held, never, never, {
      ...on,
      model,
      log,
      turnTimeoutMs: 60_000,
      noticed: () => {},
      contextFor,
    });
    expect(on.finished).toEqual(['cancelled']);
    expect(on.ends).toEqual([]);
  });

  it('is failed when too many owners were lost over it', async () => {
    const turn = start({ attempt: 6, text: 'half' });
    await turn.settle();
    expect(turn.ends.map(({ outcome, text }) => ({ outcome, text }))).toEqual([
      { outcome: 'failed', text: 'half' },
    ]);
  });

  it('leaves everything to a successor when the process stops', async () => {
    const turn = start();
    await turn.give({ text: 'mine' });
    turn.stop.abort();
    await turn.settle();
    expect(turn.ends).toEqual([]);
    expect(turn.decided).toEqual([]);
  });
});
