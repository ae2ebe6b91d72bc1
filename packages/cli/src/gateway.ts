import { UsageError } from './usage.ts';

/** The public API as an operator uses it. */
export interface Gateway {
  /** The decoded answer. Rejects with the sentence of the problem, or that the gateway is not there. */
  call(method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown>;
}

const defaultUrl = 'http://127.0.0.1:8002';
const timeoutMs = 30_000;

const sentenceOf = (status: number, text: string): string => {
  try {
    const {
      code,
      detail,
      errors = [],
    } = JSON.parse(text) as {
      readonly code: string;
      readonly detail: string;
      readonly errors?: readonly { readonly path: string; readonly message: string }[];
    };
    return [`${detail} (${code})`, ...errors.map(({ path, message }) => `  ${path}: ${message}`)].join('\n');
  } catch {
    return `The gateway answered ${status} without saying why: is SKEIN_URL the address of Skein?`;
  }
};

/** The gateway of `SKEIN_URL`, as whom `SKEIN_TOKEN` says. */
export const openGateway = (env: Readonly<Record<string, string | undefined>>): Gateway => {
  const url = (env['SKEIN_URL'] || defaultUrl).replace(/\/$/, '');
  const token = env['SKEIN_TOKEN'];
  if (!token) throw new UsageError('Set SKEIN_TOKEN to an API token with the scope operator.');
  if (!URL.canParse(url) || !/^https?:/.test(url))
    throw new UsageError('SKEIN_URL must be http://host:port or https://host.');
  return {
    call: async (method, path, body) => {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeoutMs),
      }).catch((error: unknown) => {
        throw new Error(`Nothing answers at ${url}: start the gateway, or set SKEIN_URL.`, { cause: error });
      });
      const text = await response.text();
      if (!response.ok) throw new Error(sentenceOf(response.status, text));
      return text === '' ? undefined : (JSON.parse(text) as unknown);
    },
  };
};
