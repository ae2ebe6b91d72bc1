/** The probe server in a process that a test may kill: answers with its port, which it also sends to its parent. */
import { createLogger, createMetrics } from '@skein/telemetry';
import { identity, implement, rpcServer } from '../src/index.ts';
import { probeService, secret } from './probe-service.ts';

const server = rpcServer({
  service: 'probe',
  host: '127.0.0.1',
  port: 0,
  identity: identity({ service: 'probe', secret }),
  log: createLogger({ service: 'probe', instance: 'probe-1', level: 'silent' }),
  metrics: createMetrics(),
  implementations: [
    implement(
      probeService,
      {
        say: async () => ({ text: String(server.port) }),
        count: async function* () {},
        echo: async function* () {},
      },
      { allow: 'any' },
    ),
  ],
});
await server.run();
process.send?.(server.port);
process.on('disconnect', () => process.exit(0));
