/** What a `consul://` URL says. */
export interface ConsulPlace {
  /** Without brackets, for a client. */
  readonly host: string;
  readonly port: number;
  /** As in a target. */
  readonly authority: string;
  /** The ACL token, or empty. */
  readonly token: string;
  /** Without slashes at its ends. */
  readonly path: string;
}

/** `consul://:token@host:port/path`. TypeError with what it must be. */
export const readConsulUrl = (text: string): ConsulPlace => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'consul:' || url.hostname === '') throw new TypeError('must be consul://host:port');
  const port = url.port || '8500';
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(port),
    authority: `${url.hostname}:${port}`,
    token: decodeURIComponent(url.password),
    path: decodeURIComponent(url.pathname).replace(/^\/+|\/+$/g, ''),
  };
};
