/** Where the servers are and how to be let in, as the client library wants it. */
export interface ServerAddress {
  /** `host:port` each. */
  readonly servers: readonly string[];
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
  /** Present: TLS, with the certificate authorities Node knows (`NODE_EXTRA_CA_CERTS` adds one). */
  readonly tls?: Record<string, never>;
}

const credentialsOf = ({ username, password }: URL) => {
  if (username === '') return {};
  const [user, pass] = [decodeURIComponent(username), decodeURIComponent(password)];
  // A single word is a token, as in every NATS client.
  return pass === '' ? { token: user } : { user, pass };
};

/**
 * Reads `nats://[user:password@ or token@]host:port`, several separated by commas; `tls://` for TLS. Percent-encoding
 * is undone. One of several may carry the credentials for all. Throws a TypeError with a sentence, which never
 * repeats a credential.
 */
export const readServerUrl = (text: string): ServerAddress => {
  const urls = text.split(',').map((one, at) => {
    const trimmed = one.trim();
    if (!/^(nats|tls):\/\//.test(trimmed) || !URL.canParse(trimmed) || new URL(trimmed).hostname === '')
      throw new TypeError(`server ${at + 1} is not nats://host:port or tls://host:port`);
    return new URL(trimmed);
  });
  if (new Set(urls.map(({ protocol }) => protocol)).size > 1)
    throw new TypeError('the servers must all be nats: or all be tls:');
  const named = new Map(
    urls
      .map(credentialsOf)
      .flatMap((one) => (Object.keys(one).length > 0 ? [[JSON.stringify(one), one]] : [])),
  );
  if (named.size > 1) throw new TypeError('the servers must all have the same credentials');
  return {
    servers: urls.map(({ host }) => host),
    ...[...named.values()][0],
    ...(urls[0]?.protocol === 'tls:' ? { tls: {} } : {}),
  };
};
