import type { LiveBus } from '@skein/events';
import type { Logger } from '@skein/telemetry';
import type { NatsLink } from './connection.ts';

/**
 * The live bus on core NATS: no storage, no acknowledgement. While the server is away messages are dropped here
 * rather than kept by the client, because a reader heals a gap from the log faster than from an old queue.
 */
export const natsLiveBus = ({ link, log }: { readonly link: NatsLink; readonly log: Logger }): LiveBus => {
  let connected = false;
  const abort = new AbortController();
  const wanted = new Map<
    symbol,
    { subject: string; handle: (payload: Uint8Array) => void; end?: () => void }
  >();

  const begin = (key: symbol) => {
    const one = wanted.get(key);
    if (!one) return;
    // The client renews subscriptions by itself after a reconnect.
    const subscription = link.get().subscribe(one.subject, {
      callback: (error, message) => {
        if (error) log.warn({ subject: one.subject, err: error }, 'a live message could not be read');
        else one.handle(message.data);
      },
    });
    one.end = () => subscription.unsubscribe();
  };

  const watch = async () => {
    const nc = await link.ready(abort.signal);
    connected = true;
    for (const key of wanted.keys()) begin(key);
    for await (const status of nc.status()) {
      if (status.type === 'disconnect') connected = false;
      if (status.type === 'reconnect') {
        connected = true;
        // The client renews what it knew; what was asked for meanwhile begins now.
        for (const [key, one] of wanted) if (!one.end) begin(key);
      }
    }
  };

  return {
    id: 'nats-live-bus',
    peers: true,
    run: async () => {
      watch().catch((error: unknown) => {
        if (!abort.signal.aborted) log.error({ err: error }, 'the live bus is not available');
      });
    },
    stop: async () => abort.abort(),
    publish: (subject, payload) => {
      if (connected) link.get().publish(subject, payload);
    },
    subscribe: (subject, handle) => {
      const key = Symbol(subject);
      wanted.set(key, { subject, handle });
      if (connected) begin(key);
      return () => {
        wanted.get(key)?.end?.();
        wanted.delete(key);
      };
    },
  };
};
