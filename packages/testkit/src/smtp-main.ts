import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';
import type { SmtpNews, SmtpOrders, SmtpStart } from './smtp-messages.ts';

/** Far above any mail of ours. */
const maxBytes = 1_000_000;

const { port, login } = JSON.parse(process.argv[2] ?? '{}') as SmtpStart;
let orders: SmtpOrders = { recipients: 250 };
const tell = (news: SmtpNews) => process.send?.(news);

const server = new SMTPServer({
  authOptional: login === undefined,
  // Its certificate would be its own: nobody could check it.
  disabledCommands: ['STARTTLS'],
  allowInsecureAuth: true,
  size: maxBytes,
  onAuth: ({ username, password }, _session, callback) => {
    if (username === login?.user && password === login?.password) callback(null, { user: username });
    else callback(new Error('Invalid username or password'));
  },
  onRcptTo: ({ address }, _session, callback) => {
    if (orders.recipients === 250) return callback();
    tell({ kind: 'refused', to: address });
    callback(Object.assign(new Error(`Not now: ${address}`), { responseCode: orders.recipients }));
  },
  onData: (stream, { envelope }, callback) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const to = envelope.rcptTo.map(({ address }) => address);
      tell({ kind: 'mail', raw: Buffer.concat(chunks).toString('utf8'), to });
      callback();
    });
  },
});
// A client that leaves in the middle is no reason to end.
server.on('error', () => {});
server.listen(port, '127.0.0.1', () =>
  tell({ kind: 'listening', port: (server.server.address() as AddressInfo).port }),
);
process.on('message', (message: SmtpOrders) => {
  orders = message;
});
process.on('disconnect', () => process.exit());
