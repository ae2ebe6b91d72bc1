import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import PostalMime from 'postal-mime';
import type { SmtpNews, SmtpOrders, SmtpStart } from './smtp-messages.ts';

/** A mail as it arrived. */
export interface ReceivedMail {
  readonly to: readonly string[];
  readonly from: string;
  readonly subject: string;
  readonly text: string;
  readonly messageId: string;
  /** Every header by its name in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A real mail server in a process of its own on loopback. It keeps what it accepts, in order. */
export interface SmtpProcess extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** The newest mails, oldest first. */
  readonly mails: readonly ReceivedMail[];
  /** Recipients that were turned away, in order. */
  readonly refused: readonly string[];
  /** Answers every recipient with this status from now on; 250 accepts. */
  answer(recipients: number): void;
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
}

/** More than a test looks at; the oldest go first. */
const maxKept = 200;

const keep = <T>(list: T[], one: T): void => {
  list.push(one);
  if (list.length > maxKept) list.shift();
};

/** Starts the server. A `port` brings a killed one back at its address. */
export const startSmtp = async (start: Partial<SmtpStart> = {}): Promise<SmtpProcess> => {
  const { port = 0, login } = start;
  const child = fork(join(import.meta.dirname, 'smtp-main.ts'), [JSON.stringify({ port, login })], {
    stdio: 'inherit',
  });
  const mails: ReceivedMail[] = [];
  const refused: string[] = [];
  const listening = new Promise<number>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the mail server ended (${code}) before it listened`)));
    child.on('message', async (news: SmtpNews) => {
      if (news.kind === 'listening') resolve(news.port);
      else if (news.kind === 'refused') keep(refused, news.to);
      else {
        const { from, subject = '', text = '', messageId = '', headers } = await PostalMime.parse(news.raw);
        keep(mails, {
          ...{ to: news.to, from: from?.address ?? '', subject, text, messageId },
          headers: Object.fromEntries(headers.map(({ key, value }) => [key, value])),
        });
      }
    });
  });
  const actual = await listening;
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  const user = login ? `${encodeURIComponent(login.user)}:${encodeURIComponent(login.password)}@` : '';
  return {
    url: `smtp://${user}127.0.0.1:${actual}`,
    port: actual,
    mails,
    refused,
    answer: (recipients) => child.send({ recipients } satisfies SmtpOrders),
    kill,
    [Symbol.asyncDispose]: kill,
  };
};
