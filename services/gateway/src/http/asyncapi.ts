import type { z } from 'zod';
import { schemaBook } from './json-schema.ts';

/** Frames by type, as they validate. */
export type FrameSchemas = Readonly<Record<string, z.ZodType>>;

/** One socket: where it is and what goes over it. */
export interface ChannelOf {
  readonly address: string;
  readonly title: string;
  readonly client: FrameSchemas;
  readonly server: FrameSchemas;
}

const title = (text: string): string =>
  text
    .split('_')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');

/** The AsyncAPI 3.0 document of the sockets; channel name → what it is. */
export const asyncApi = (
  channels: Readonly<Record<string, ChannelOf>>,
  { version, host }: { version: string; host: string },
) => {
  const book = schemaBook();
  const messages: Record<string, unknown> = {};
  const described: Record<string, unknown> = {};
  const operations: Record<string, unknown> = {};
  for (const [channel, one] of Object.entries(channels)) {
    const own: Record<string, unknown> = {};
    for (const [side, frames] of [
      ['Client', one.client],
      ['Server', one.server],
    ] as const) {
      const refs: unknown[] = [];
      for (const [type, schema] of Object.entries(frames)) {
        const name = `${channel}${side}${title(type)}`;
        messages[name] = { name: type, contentType: 'application/json', payload: book.schema(schema) };
        own[name] = { $ref: `#/components/messages/${name}` };
        refs.push({ $ref: `#/channels/${channel}/messages/${name}` });
      }
      // As AsyncAPI has it, seen from the application: it receives what clients send.
      operations[`${channel}${side}Frames`] = {
        action: side === 'Client' ? 'receive' : 'send',
        channel: { $ref: `#/channels/${channel}` },
        messages: refs,
      };
    }
    described[channel] = {
      address: one.address,
      title: one.title,
      messages: own,
      ...(one.address.includes('{user_id}') ? { parameters: { user_id: {} } } : {}),
    };
  }
  return {
    asyncapi: '3.0.0',
    info: { title: 'Skein frames', version },
    defaultContentType: 'application/json',
    servers: { gateway: { host, protocol: 'ws' } },
    channels: described,
    operations,
    components: { messages, schemas: book.components },
  };
};
