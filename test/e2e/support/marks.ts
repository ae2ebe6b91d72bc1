import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { dumpPostgres } from '@skein/components';
import type { LocalMesh } from '@skein/launcher';
import { must } from '@skein/service-kit';

/** Words that were given out. */
const marks: string[] = [];

/** A word nobody else writes, for one field. */
export const mark = (field: string): string => {
  const word = `Zwölfton7-${field}`;
  // Ids and names of platforms are plain.
  const plain = `zwoelfton7-${field}`;
  marks.push(word, plain);
  return plain;
};
/** A sentence with that word, and with what has to be escaped somewhere. */
export const words = (field: string): string => `${mark(field)} says Zwölfton7-${field} "quoted" \\ <b>`;

/** Everything that is stored anywhere, as one text a store. */
export const everything = async (mesh: LocalMesh): Promise<Record<string, string>> => {
  const dir = await mkdtemp(join(tmpdir(), 'skein-dump-'));
  try {
    const file = join(dir, 'dump.sql');
    await dumpPostgres(must(mesh.postgres, 'an embedded database').url, file);
    const connection = await connect({ servers: must(mesh.nats?.(), 'NATS').url });
    const jsm = await jetstreamManager(connection);
    const messages: string[] = [];
    for await (const { config, state } of jsm.streams.list())
      for (let seq = state.first_seq; seq <= state.last_seq; seq += 1) {
        const message = await jsm.streams.getMessage(config.name, { seq });
        if (message)
          messages.push(`${message.subject} ${message.header} ${Buffer.from(message.data).toString()}`);
      }
    await connection.close();
    const { httpAddress } = must(mesh.consul?.(), 'Consul');
    const keys = await (await fetch(`${httpAddress}/v1/kv/?recurse=true`)).text();
    const services = await (await fetch(`${httpAddress}/v1/agent/services`)).text();
    return { postgres: await readFile(file, 'utf8'), nats: messages.join('\n'), consul: keys + services };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};

/** The ways a word may be written down. */
const formsOf = (word: string): string[] => {
  const bytes = Buffer.from(word);
  const json = JSON.stringify(word).slice(1, -1);
  const ascii = json.replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  // In the middle of a text base64 begins at any of three bits; the ends of it belong to the neighbours.
  const within = [0, 1, 2].map((before) =>
    Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .slice(before === 0 ? 0 : 4, -4),
  );
  return [word, word.toLowerCase(), json, ascii, bytes.toString('hex'), ...within].map((one) =>
    one.toLowerCase(),
  );
};

/** Where any of the words stands, in whatever form. */
export const found = (stores: Record<string, string>): string[] => {
  const lower = Object.entries(stores).map(([name, text]) => [name, text.toLowerCase()] as const);
  return marks.flatMap((word) =>
    formsOf(word).flatMap((form) =>
      lower.flatMap(([name, text]) => {
        const at = text.indexOf(form);
        return at < 0 ? [] : [`${name}: ${text.slice(Math.max(0, at - 200), at + 100)}`];
      }),
    ),
  );
};
