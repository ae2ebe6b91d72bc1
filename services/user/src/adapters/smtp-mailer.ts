import { createTransport } from 'nodemailer';
import type { Mailer } from '../app/ports.ts';
import { type MailServer, mustUpgrade } from '../domain/mail-url.ts';

/** What the mailer is made of. */
export interface SmtpMailerOptions {
  readonly server: MailServer;
  /** `name <address>` or an address. */
  readonly from: string;
}

const connectMs = 10_000;
/** Longest silence of the server. */
const silenceMs = 20_000;

/** What the library tells of a failure. Its message may hold an address, so it is not used. */
interface Failure {
  readonly code?: string;
  readonly responseCode?: number;
}

const domainOf = (from: string): string => /@([^\s@<>]+)>?$/.exec(from)?.[1] ?? 'localhost';

/** Mails over SMTP, each on a connection of its own: they are few. */
export const smtpMailer = ({ server, from }: SmtpMailerOptions): Mailer => {
  const transport = createTransport({
    host: server.host.replace(/^\[|\]$/g, ''),
    port: server.port,
    secure: server.tls,
    requireTLS: mustUpgrade(server),
    ...(server.login ? { auth: { user: server.login.user, pass: server.login.password } } : {}),
    ...{ connectionTimeout: connectMs, greetingTimeout: connectMs, dnsTimeout: connectMs },
    socketTimeout: silenceMs,
    // A mail is words of ours: it never fetches anything.
    ...{ disableFileAccess: true, disableUrlAccess: true },
  });
  return {
    send: async ({ id, to, subject, text }) => {
      try {
        await transport.sendMail({
          // As a whole: an address that looks like a list is one all the same.
          ...{ from, to: { name: '', address: to }, subject, text },
          messageId: `<${id}@${domainOf(from)}>`,
          // No answers by machines, please (RFC 3834).
          headers: { 'Auto-Submitted': 'auto-generated' },
        });
        return { outcome: 'sent' };
      } catch (error) {
        const { code = 'no code', responseCode } = error as Failure;
        // A wrong password is ours to mend; a recipient that the server refuses for good stays refused.
        const final = code === 'EENVELOPE' && responseCode !== undefined && responseCode >= 500;
        const why =
          responseCode === undefined
            ? `the mail server cannot be reached (${code})`
            : `the mail server answered ${responseCode} (${code})`;
        return { outcome: 'refused', final, why };
      }
    },
  };
};
