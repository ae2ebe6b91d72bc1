import { context, trace } from '@opentelemetry/api';
import { AppError } from '@skein/contracts';
import { createMetrics, currentTraceparent } from '@skein/telemetry';
import { expect, test } from 'vitest';
import { ctx, readableLog, startClient, startServer } from './fixture.ts';

test('a bug is answered as internal without its text, and logged once with it, where it happened', async () => {
  const inner = readableLog();
  const outer = readableLog();
  const innerClient = startClient(
    await startServer(
      {
        say: async () => {
          throw new TypeError('the password is hunter2');
        },
      },
      { log: inner.log },
    ),
  );
  const server = await startServer(
    { say: (request, context) => innerClient.say(request, context) },
    { log: outer.log },
  );
  const error = await startClient(server)
    .say({ text: '' }, ctx())
    .catch((thrown: AppError) => thrown);
  expect(error).toMatchObject({ code: 'internal', detail: 'Something went wrong on our side' });
  expect(JSON.stringify(error)).not.toContain('hunter2');
  const errors = (lines: Record<string, unknown>[]) => lines.filter(({ level }) => level === 'error');
  await expect.poll(() => errors(inner.lines)).toHaveLength(1);
  expect(errors(inner.lines)[0]).toMatchObject({
    rpc: '/skein.probe.v1.ProbeService/Say',
    err: { type: 'TypeError', message: 'the password is hunter2' },
  });
  expect(errors(outer.lines)).toEqual([]);
});

test('expected faults are not logged', async () => {
  const { log, lines } = readableLog();
  const server = await startServer(
    {
      say: async () => {
        throw new AppError('not_found');
      },
    },
    { log },
  );
  await startClient(server)
    .say({ text: '' }, ctx())
    .catch(() => {});
  expect(lines.filter(({ level }) => level !== 'info')).toEqual([]);
});

test('both sides count calls by method and outcome', async () => {
  const metrics = createMetrics();
  const server = await startServer(
    {
      say: async ({ text }) => {
        if (text === 'no') throw new AppError('not_found');
        return { text };
      },
    },
    { metrics },
  );
  const client = startClient(server, { metrics });
  await client.say({ text: 'yes' }, ctx());
  await client.say({ text: 'yes' }, ctx());
  await client.say({ text: 'no' }, ctx()).catch(() => {});
  const page = metrics.print();
  for (const side of ['server', 'client']) {
    const series = (code: string) =>
      `rpc_${side}_call_duration_seconds_count{rpc_service="skein.probe.v1.ProbeService",rpc_method="Say",code="${code}"}`;
    expect(page).toContain(`${series('ok')} 2`);
    expect(page).toContain(`${series('not_found')} 1`);
  }
});

test('the trace of the caller goes on in the handler, and is the correlation where there is no other', async () => {
  const { AsyncLocalStorage } = await import('node:async_hooks');
  const storage = new AsyncLocalStorage<ReturnType<typeof context.active>>();
  context.setGlobalContextManager({
    active: () => storage.getStore() ?? root,
    with: (ctxt, fn, self, ...args) => storage.run(ctxt, () => fn.apply(self, args)),
    bind: (_, target) => target,
    enable() {
      return this;
    },
    disable() {
      return this;
    },
  });
  const root = (await import('@opentelemetry/api')).ROOT_CONTEXT;
  const seen: (string | undefined)[] = [];
  const server = await startServer({
    say: async ({ text }, { correlationId }) => {
      await Promise.resolve();
      seen.push(currentTraceparent()?.slice(3, 35), correlationId);
      return { text };
    },
  });
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const span = trace.wrapSpanContext({ traceId, spanId: 'b7ad6b7169203331', traceFlags: 1 });
  await context.with(trace.setSpan(root, span), () => startClient(server).say({ text: '' }, ctx()));
  expect(seen).toEqual([traceId, traceId]);
  context.disable();
});
