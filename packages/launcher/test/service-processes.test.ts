import type { Service } from '@skein/service-kit';
import { expect, it } from 'vitest';
import { inGroups } from '../src/service-processes.ts';
import { ProcessEndedError } from '../src/supervised-process.ts';

const stage = (failures: Readonly<Record<string, Error>> = {}) => {
  const happened: string[] = [];
  const part = (id: string): Service => ({
    id,
    run: async () => {
      happened.push(`run ${id}`);
      const failure = failures[id];
      if (failure) throw failure;
    },
    stop: async () => {
      happened.push(`stop ${id}`);
      await new Promise((resolve) => setImmediate(resolve));
      happened.push(`stopped ${id}`);
    },
  });
  const services = inGroups('services', [
    [part('auth.1'), part('auth.2')],
    [part('gateway.1'), part('gateway.2')],
  ]);
  return { services, happened };
};

it('starts all at once, and stops service by service, the one that faces users first', async () => {
  const { services, happened } = stage();
  await services.run();
  await services.stop();
  expect(happened).toEqual([
    ...['run auth.1', 'run auth.2', 'run gateway.1', 'run gateway.2'],
    ...['stop gateway.1', 'stop gateway.2', 'stopped gateway.1', 'stopped gateway.2'],
    ...['stop auth.1', 'stop auth.2', 'stopped auth.1', 'stopped auth.2'],
  ]);
});

it('tells the faults of all at once, each fault one time', async () => {
  const fault = ['The configuration has 1 fault(s):', '  DATABASE_POOL_SIZE must be a whole number'];
  const { services } = stage({
    'auth.1': new ProcessEndedError('auth.1', 78, null, fault),
    'gateway.1': new ProcessEndedError('gateway.1', 78, null, fault),
    'gateway.2': new ProcessEndedError('gateway.2', 69, null, ['{"level":"fatal","msg":"no luck"}']),
  });
  await expect(services.run()).rejects.toMatchObject({
    misconfigured: true,
    message: `auth.1, gateway.1 did not start: ${fault.join('\n')}\ngateway.2 did not start: no luck`,
  });
});

it('does not call a crash a wrong configuration', async () => {
  const { services } = stage({ 'auth.1': new ProcessEndedError('auth.1', null, 'SIGSEGV', []) });
  await expect(services.run()).rejects.toMatchObject({ misconfigured: false });
});
