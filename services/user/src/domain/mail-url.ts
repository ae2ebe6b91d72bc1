/** Where the mail server is and how to be let in. */
export interface MailServer {
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte. Without it the connection is upgraded when the server offers that. */
  readonly tls: boolean;
  readonly login: { readonly user: string; readonly password: string } | undefined;
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);

/** A password goes over the network only below TLS. */
export const mustUpgrade = ({ host, tls, login }: MailServer): boolean =>
  !tls && login !== undefined && !isLoopback(host);

/**
 * Reads `smtp://` (port 587) or `smtps://` (port 465); percent-encoding is undone. Throws a TypeError with a sentence,
 * which never repeats a credential.
 */
export const readMailUrl = (text: string): MailServer => {
  // Not a scheme the platform knows: as http its parts are checked and split as usual.
  const asHttp = text.replace(/^smtps?:/, 'http:');
  if (!/^smtps?:\/\/[^/?#]/.test(text) || !URL.canParse(asHttp))
    throw new TypeError('must be smtp://host:port or smtps://host:port');
  const { hostname, port, username, password, pathname, search } = new URL(asHttp);
  if (pathname !== '/' || search !== '') throw new TypeError('must end with the host or the port');
  if ((username === '') !== (password === '')) throw new TypeError('needs a user and a password, or neither');
  const tls = text.startsWith('smtps:');
  // Port 80 is the one that http leaves out.
  const given = port === '' && /:80\/?$/.test(text) ? 80 : Number(port);
  return {
    host: hostname,
    port: given || (tls ? 465 : 587),
    tls,
    login:
      username === ''
        ? undefined
        : { user: decodeURIComponent(username), password: decodeURIComponent(password) },
  };
};
