import { EventEmitter } from 'node:events';
import { type MethodDefinition, type Server, type ServerDuplexStream, status } from '@grpc/grpc-js';

type RawCall = ServerDuplexStream<Buffer, Buffer>;

/** The reflection protocol of one version, as `@grpc/reflection` implements it. */
interface Version {
  readonly method: MethodDefinition<unknown, unknown>;
  readonly handle: (stream: EventEmitter & { write(message: unknown): void; end(): void }) => void;
}

const versions = ['v1', 'v1alpha'] as const;
const pathOf = (version: string) => `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
const raw = (bytes: Buffer): Buffer => bytes;

/** Loads descriptors and their reader: only for a process that somebody asks. */
const load = async (services: readonly string[]): Promise<ReadonlyMap<string, Version>> => {
  const { descriptorSetBase64, loadFileDescriptorSetFromBuffer, ReflectionService } = await import(
    './reflection-parts.ts'
  );
  const definition = loadFileDescriptorSetFromBuffer(Buffer.from(descriptorSetBase64, 'base64'));
  const found = new Map<string, Version>();
  // What would be added to a server is kept instead: the server has long been started.
  const collector = {
    addService: (
      methods: Readonly<Record<string, MethodDefinition<unknown, unknown>>>,
      handlers: Readonly<Record<string, Version['handle']>>,
    ) => {
      for (const [name, method] of Object.entries(methods)) {
        const handle = handlers[name];
        if (handle) found.set(method.path, { method, handle });
      }
    },
  };
  new ReflectionService(definition, { services: [...services] }).addToServer(collector);
  return found;
};

const serve = (call: RawCall, { method, handle }: Version): void => {
  const stream = Object.assign(new EventEmitter(), {
    write: (message: unknown) => {
      call.write(method.responseSerialize(message));
    },
    end: () => {
      call.end();
    },
  });
  handle(stream);
  call.on('end', () => stream.emit('end'));
  call.on('data', (bytes: Buffer) => stream.emit('data', method.requestDeserialize(bytes)));
};

/**
 * Server reflection, v1 and v1alpha: lists the given services, describes them and all of our protocol. What it needs
 * is loaded with the first question.
 */
export const addReflection = (server: Server, services: readonly string[]): void => {
  let loading: Promise<ReadonlyMap<string, Version>> | undefined;
  const answer = async (call: RawCall, path: string) => {
    loading ??= load(services);
    const version = (await loading).get(path);
    if (!version) throw new Error(`bug: no reflection for ${path}`);
    serve(call, version);
  };
  for (const version of versions) {
    const path = pathOf(version);
    server.register(
      path,
      (call: RawCall) => {
        answer(call, path).catch((error: unknown) => {
          call.emit('error', { code: status.INTERNAL, details: error instanceof Error ? error.message : '' });
        });
      },
      raw,
      raw,
      'bidi',
    );
  }
};
