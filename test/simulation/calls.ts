import { AppError, toAppError } from '@skein/contracts';
import type { CallContext, Definition, Implementation, RpcClient } from '@skein/rpc';
import { channel } from './channel.ts';
import type { Ground } from './disk.ts';
import type { Machine } from './machine.ts';

/** A running server, as the load balancer knows it. */
export interface Target {
  readonly machine: Machine;
  readonly implementations: readonly Implementation[];
}

const handlerOf = ({ implementations }: Target, definition: Definition, name: string) =>
  implementations.find((one) => one.definition === definition)?.handlers[name];

/** The network between the gateways and the replicas of one service. */
export interface Calls {
  /** A client in one process; every call goes to a server of the balancer's choice. */
  client<D extends Definition>(machine: Machine, definition: D): RpcClient<D>;
  /** Breaks every stream that is open. */
  breakStreams(): void;
}

const hopMs = { min: 1, max: 12 };
/** What happens the same when it happens twice: only this is ever repeated on the way. */
const repeatable = new Set([
  ...['mutate', 'appendMessage', 'ackDevice', 'openSession', 'readEvents'],
  ...['recordHealthData', 'operateSaga'],
]);

const away = () => new AppError('unavailable', 'The connection was lost');

/** Calls that go through the real encoding, and arrive late, twice or never. */
export const simulatedCalls = (ground: Ground, route: () => Target | undefined): Calls => {
  const { schedule, random, faults } = ground;
  const streams = new Set<() => void>();
  const hop = () => random.between(hopMs.min, hopMs.max);
  const pause = () => new Promise<void>((resolve) => schedule.after(hop(), resolve));

  const contextOf = (ctx: CallContext, signal: AbortSignal): CallContext => ({
    ...ctx,
    caller: 'gateway',
    signal,
  });

  const unary = (
    machine: Machine,
    name: string,
    definition: Definition,
    request: unknown,
    ctx: CallContext,
  ) =>
    new Promise((resolve, reject) => {
      const method = definition[name] as Definition[string];
      const bytes = method.requestSerialize(request as never);
      const target = route();
      const abort = new AbortController();
      const end = (tell: () => void) => {
        cancelDeadline();
        leave();
        forget?.();
        if (machine.alive) tell();
      };
      const fail = (error: unknown) => end(() => reject(toAppError(error)));
      const cancelDeadline = schedule.after(Math.min(ctx.deadlineMs - schedule.now(), 30_000), () => {
        const late = new AppError('deadline_exceeded');
        abort.abort(late);
        fail(late);
      });
      const left = () => {
        abort.abort(new AppError('cancelled'));
        fail(new AppError('cancelled'));
      };
      const leave = () => ctx.signal.removeEventListener('abort', left);
      ctx.signal.addEventListener('abort', left, { once: true });
      const forget = target?.machine.onDeath(() => schedule.after(hop(), () => fail(away())));
      const arrive = async (answered: boolean) => {
        if (!target?.machine.alive) return;
        try {
          const handler = handlerOf(target, definition, name);
          const response = await handler?.(method.requestDeserialize(bytes), contextOf(ctx, abort.signal));
          if (!answered || !target.machine.alive) return;
          const encoded = method.responseSerialize(response as never);
          const gone = faults.happens('lostAnswer');
          schedule.after(hop(), () => {
            if (gone) fail(away());
            else end(() => resolve(method.responseDeserialize(encoded)));
          });
        } catch (error) {
          if (answered && target.machine.alive) schedule.after(hop(), () => fail(error));
        }
      };
      if (!target || faults.happens('lostCall')) {
        schedule.after(hop(), () => fail(away()));
        return;
      }
      schedule.after(hop(), () => void arrive(true));
      if (repeatable.has(name) && faults.happens('twice'))
        schedule.after(hop() + random.between(0, 800), () => void arrive(false));
    });

  /** A stream both ways, or one way with one request. Items keep their order; a break ends both directions. */
  const stream = async function* (
    machine: Machine,
    name: string,
    definition: Definition,
    requests: AsyncIterable<unknown> | { readonly one: unknown },
    ctx: CallContext,
  ): AsyncGenerator<unknown> {
    const method = definition[name] as Definition[string];
    const target = route();
    await pause();
    if (!target?.machine.alive || !machine.alive) throw away();
    const abort = new AbortController();
    const up = channel<unknown>();
    const down = channel<unknown>();
    let open = true;
    const cut = () => {
      if (!open) return;
      open = false;
      streams.delete(cut);
      up.end();
      abort.abort(new AppError('cancelled'));
      down.fail(away());
    };
    streams.add(cut);
    const forget = [target.machine.onDeath(cut), machine.onDeath(cut)];
    ctx.signal.addEventListener('abort', cut, { once: true });
    const arriving = (request: unknown) =>
      method.requestDeserialize(method.requestSerialize(request as never));
    const sending = async () => {
      if ('one' in requests) return;
      for await (const request of requests) {
        await pause();
        if (!open) return;
        up.push(arriving(request));
      }
      up.end();
    };
    const answering = async () => {
      const first = 'one' in requests ? arriving(requests.one) : up;
      const responses = handlerOf(target, definition, name)?.(first, contextOf(ctx, abort.signal));
      for await (const response of responses as AsyncIterable<never>) {
        await pause();
        if (!open) return;
        down.push(method.responseDeserialize(method.responseSerialize(response)));
      }
      down.end();
    };
    sending().catch((error: unknown) => up.fail(error));
    answering().catch((error: unknown) => down.fail(toAppError(error)));
    try {
      yield* down.read();
    } finally {
      cut();
      for (const one of forget) one();
      ctx.signal.removeEventListener('abort', cut);
    }
  };

  return {
    client: <D extends Definition>(machine: Machine, definition: D) =>
      Object.assign(
        { id: 'simulated client', run: async () => {}, stop: async () => {} },
        Object.fromEntries(
          Object.entries(definition).map(([name, { requestStream, responseStream }]) => [
            name,
            (request: unknown, ctx: CallContext) =>
              requestStream
                ? stream(machine, name, definition, request as AsyncIterable<unknown>, ctx)
                : responseStream
                  ? stream(machine, name, definition, { one: request }, ctx)
                  : unary(machine, name, definition, request, ctx),
          ]),
        ),
      ) as unknown as RpcClient<D>,
    breakStreams: () => {
      for (const cut of [...streams]) cut();
    },
  };
};
