import { syncV1 } from '@skein/contracts';
import { testDatabase } from '@skein/postgres/testing';
import {
  type Actor,
  type CallContext,
  type Definition,
  identity,
  type RpcClient,
  rootContext,
  rpcClient,
} from '@skein/rpc';
import { liveConfig, readConfig } from '@skein/service-kit';
import { createLogger, createMetrics } from '@skein/telemetry';
import { compose, type Overrides } from '../src/compose.ts';
import { config } from '../src/config.ts';

export type SyncClient = RpcClient<typeof syncV1.SyncServiceService>;

const secret = 'a secret for tests that is long enough';
const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });

/** A running session-sync and clients that call it as the services do. */
export interface Running extends AsyncDisposable {
  readonly gateway: SyncClient;
  readonly agent: SyncClient;
  /** Another service of it, as the gateway unless said. */
  clientOf<D extends Definition>(definition: D, caller?: string): RpcClient<D>;
  /** As any service by name. */
  as(service: string): SyncClient;
  /** Says something in the config centre; the settings that have another value now. */
  change(settings: Readonly<Record<string, unknown>>): readonly string[];
  stop(): Promise<void>;
}

/** Starts the composed service on a database. */
export const startSync = async (
  databaseUrl: string,
  settings: Readonly<Record<string, string>> = {},
  over: Overrides = {},
): Promise<Running> => {
  const read = readConfig(config, {
    DATABASE_URL: databaseUrl,
    DISCOVERY_URL: 'static:agent=127.0.0.1:1,auth=127.0.0.1:1',
    INTERNAL_SECRET: secret,
    LOG_LEVEL: 'fatal',
    ...settings,
  });
  const { service, server } = await compose(read, over);
  await service.run();
  const clients: { stop(): Promise<void> }[] = [];
  const open = <D extends Definition>(definition: D, name: string): RpcClient<D> => {
    const client = rpcClient(definition, {
      service: 'session-sync',
      target: `127.0.0.1:${server.port}`,
      identity: identity({ service: name, secret }),
      log,
      metrics: createMetrics(),
    });
    clients.push(client);
    return client;
  };
  const as = (name: string): SyncClient => open(syncV1.SyncServiceService, name);
  const clientOf = <D extends Definition>(definition: D, caller = 'gateway'): RpcClient<D> =>
    open(definition, caller);
  const stop = async () => {
    for (const client of clients) await client.stop();
    await service.drain?.();
    await service.stop();
  };
  const change = (changed: Readonly<Record<string, unknown>>) =>
    liveConfig(read).take([{ scope: 'session-sync', settings: changed }]);
  return {
    gateway: as('gateway'),
    agent: as('agent'),
    clientOf,
    as,
    change,
    stop,
    [Symbol.asyncDispose]: stop,
  };
};

/** A new database with the service on it. */
export const startOnNewDatabase = async (
  settings: Readonly<Record<string, string>> = {},
  over: Overrides = {},
): Promise<Running & { readonly databaseUrl: string }> => {
  const { url } = await testDatabase();
  return { ...(await startSync(url, settings, over)), databaseUrl: url };
};

/** A call on behalf of a person. */
export const actingFor = (userId: string, timeoutMs = 10_000): CallContext => {
  const actor: Actor = { userId, scopes: ['session'], platform: 'web' };
  return rootContext({ actor, timeoutMs });
};

/** A call of a service for itself. */
export const asService = (timeoutMs = 10_000): CallContext => rootContext({ timeoutMs });

/** Gives somebody a role in a space; who is not in it is invited and accepts. */
export const admit = async (
  { gateway }: Pick<Running, 'gateway'>,
  owner: string,
  { space, userId, role }: { readonly space: string; readonly userId: string; readonly role: string },
): Promise<void> => {
  const { invited } = await gateway.putMember({ space, userId, role }, actingFor(owner));
  if (!invited) return;
  const { items } = await gateway.listReceivedInvitations({ limit: 200, cursor: '' }, actingFor(userId));
  const code = items.find((one) => one.space === space)?.invitation?.code ?? '';
  await gateway.acceptInvitation({ code, email: '' }, actingFor(userId));
};

/** A message with everything that may be left out. */
export const messageOf = (
  text: string,
  more: Partial<syncV1.AppendMessageRequest> = {},
): syncV1.AppendMessageRequest => ({
  space: 'personal',
  conversationId: '',
  clientMessageId: text,
  text,
  persona: '',
  attachmentsJson: '',
  reply: true,
  origin: { device: { id: 'laptop', platform: 'web', name: '' } },
  ...more,
});

/** A live stream as a gateway holds it: commands go in, frames are collected. */
export const openLive = (client: SyncClient, signal?: AbortSignal) => {
  const commands: syncV1.LiveRequest[] = [];
  let wake = () => {};
  let closed = false;
  async function* requests(): AsyncGenerator<syncV1.LiveRequest> {
    for (;;) {
      const next = commands.shift();
      if (next) yield next;
      else if (closed) return;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  }
  const frames: NonNullable<syncV1.LiveResponse['frame']>[] = [];
  const ended = (async () => {
    const ctx = rootContext({ timeoutMs: Number.POSITIVE_INFINITY, ...(signal ? { signal } : {}) });
    for await (const { frame } of client.live(requests(), ctx)) if (frame) frames.push(frame);
  })();
  ended.catch(() => {});
  const send = (frame: NonNullable<syncV1.LiveRequest['frame']>) => {
    commands.push({ frame });
    wake();
  };
  return {
    frames,
    ended,
    send,
    follow: (space: string, epoch = '', after = -1) =>
      send({ $case: 'follow', value: { space, epoch, after } }),
    /** Events of a space so far, in the order they came. */
    eventsOf: (space: string) =>
      frames.flatMap((frame) =>
        frame.$case === 'events' && frame.value.space === space ? frame.value.events : [],
      ),
    close: () => {
      closed = true;
      wake();
    },
  };
};
