import { z } from 'zod';
import { maxTextBytes } from './space.ts';

/** What a client needs to know before it connects, and what operators switch for it. */
export const clientConfig = z
  .object({
    protocol: z.literal(1),
    transports: z.array(z.string()),
    connectPath: z.string(),
    pingMs: z.int(),
    maxFrame: z.int(),
    maxTextBytes: z.int(),
    registrationOpen: z.boolean().describe('Whether people may make accounts'),
    features: z
      .array(z.string())
      .describe('Names of features to show; which there are is between app and operator'),
    limits: z.object({
      messagesPerSecond: z.int(),
      messagesBurst: z.int(),
      socketsPerPerson: z.int(),
    }),
  })
  .meta({ id: 'ClientConfig', description: 'What a client needs to know; changes while it runs' });

/** The parts of it that never change. */
export const fixedClientConfig = {
  protocol: 1 as const,
  transports: ['websocket', 'sse', 'poll'],
  connectPath: '/v1/connect',
  maxFrame: 1_000_000,
  maxTextBytes,
};

const setting = z.object({
  name: z.string().describe('As in the environment'),
  value: z.string().describe('As text; `hidden` for secrets'),
  source: z.string().describe('`default`, `environment`, or the scope of the config centre it came from'),
  overridden: z
    .string()
    .optional()
    .describe('The scope of the config centre whose value does not hold, because the environment has one'),
  live: z.boolean().describe('Whether the config centre may change it while the process runs'),
});

/** What the services have for settings. */
export const serviceConfigs = z.object({
  items: z.array(
    z
      .object({
        service: z.string(),
        instance: z.string().optional().describe('Which of its processes answered'),
        settings: z.array(setting),
        refused: z.array(z.string()).describe('What of the config centre is not valid, and so not in use'),
        error: z.string().optional().describe('Why the service could not be asked'),
      })
      .meta({ id: 'ServiceConfig', description: 'The settings of one process of a service' }),
  ),
});
