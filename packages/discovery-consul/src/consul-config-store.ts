import { type ConfigStore, readDocument, type StoredDocument, writeDocument } from '@skein/config';
import Consul from 'consul';
import { ConsulRefused, RequestContext, statusOf, timeoutMs } from './consul-api.ts';
import { readConsulUrl } from './consul-url.ts';

/** A key as Consul keeps it. */
interface Pair {
  readonly Key: string;
  readonly Value: string | null;
  readonly ModifyIndex: number;
}

type Headers = Readonly<Record<string, string | undefined>>;

/** What the client's types ask for: other names than Consul's, which the client hands on as they are. */
type Operations = Parameters<Consul['transaction']['create']>[0];

/** The folder of keys when the URL names none. */
const standardFolder = 'skein/config';

/** A transaction that is refused, by the keys or by the ACLs, is answered with 409 and what stands against it. */
const isStale = (error: unknown): boolean => statusOf(error) === 409 && !isDenied(error);

const isDenied = (error: unknown): boolean =>
  statusOf(error) === 403 ||
  /permission denied/i.test(
    JSON.stringify((error as { readonly response?: { readonly body?: unknown } }).response?.body ?? ''),
  );

const refused = (what: string, error: unknown): unknown => {
  const status = statusOf(error);
  if (status === 0) return error;
  const refusal = new ConsulRefused(what, status, error);
  if (isDenied(error)) refusal.message += ': check the ACL token in CONFIG_URL';
  return refusal;
};

/**
 * Settings in Consul's key-value store: one YAML or JSON text a scope, below `skein/config/` or the path of the URL
 * (`consul://:token@host:port/folder`). Watched by one blocking query over the folder, written by one transaction with
 * check-and-set. TypeError for a URL that cannot be read.
 */
export const consulConfigStore = (url: string): ConfigStore => {
  const { host, port, token, path } = readConsulUrl(url);
  const folder = `${path || standardFolder}/`;
  const options = { host, port, timeout: timeoutMs, defaults: token === '' ? {} : { token } };
  const consul = new Consul(options);

  const pairs = async (query: object, signal: AbortSignal | undefined) => {
    signal?.throwIfAborted();
    const ctx = new RequestContext();
    const cancel = () => ctx.emit('cancel');
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      // With `includeResponse` the answer is the response and its body, which the client's types do not say. Only the
      // leader is asked (no `stale`): what was taken once must not be taken back by a server that lags behind.
      const [response, found] = (await consul.kv.get({
        ...{ key: folder, recurse: true, ctx },
        ...query,
      } as Parameters<typeof consul.kv.get>[0])) as unknown as [
        { readonly headers: Headers },
        readonly Pair[] | undefined,
      ];
      return { revision: response.headers['x-consul-index'] ?? '0', found: found ?? [] };
    } catch (error) {
      throw refused(`the settings in ${folder}`, error);
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  };

  return {
    place: `Consul at ${host}:${port}, keys ${folder}`,
    read: async (wait) => {
      // Consul adds up to a sixteenth to the wait, so that clients do not all come back at once.
      const blocking = wait && {
        index: wait.after,
        wait: `${wait.waitMs}ms`,
        timeout: Math.ceil(wait.waitMs * 1.1) + timeoutMs,
      };
      const { revision, found } = await pairs(blocking ?? {}, wait?.signal);
      const documents = found.flatMap(({ Key, Value, ModifyIndex }): [string, StoredDocument][] => {
        const scope = Key.slice(folder.length);
        // The folder itself may be a key, as the web page of Consul makes it; what is deeper is not ours.
        if (scope === '' || scope.includes('/')) return [];
        return [[scope, { revision: String(ModifyIndex), ...readDocument(Value ?? '') }]];
      });
      return { revision, documents: Object.fromEntries(documents) };
    },
    write: async (changes) => {
      const operations = changes.map(({ scope, settings, seen }) => ({
        KV: {
          Verb: 'cas',
          Key: folder + scope,
          Value: Buffer.from(writeDocument(settings)).toString('base64'),
          // 0: only if there is none.
          Index: Number(seen),
        },
      }));
      try {
        await consul.transaction.create(operations as unknown as Operations, { operations: [] });
        return true;
      } catch (error) {
        if (isStale(error)) return false;
        throw refused('a change of settings', error);
      }
    },
  };
};
