// Runs in a pod: a mail server that takes one mail, prints its sender and its recipient, and ends. Its argument is the port.
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

const server = createServer((socket) => {
  const say = (line) => socket.write(`${line}\r\n`);
  const addresses = [];
  let inMail = false;
  say('220 ready');
  createInterface({ input: socket }).on('line', (line) => {
    if (inMail && line !== '.') return;
    if (inMail) {
      say('250 kept');
      process.stdout.write(addresses.join(' '), () => process.exit());
    }
    const [, address] = /<([^>]+)>/.exec(line) ?? [];
    if (address) addresses.push(address);
    inMail = line.toUpperCase() === 'DATA';
    say(inMail ? '354 go on' : '250 well');
  });
  socket.on('error', () => {});
});
server.listen(Number(process.argv[2]));
