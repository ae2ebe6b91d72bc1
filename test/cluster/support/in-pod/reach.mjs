// Runs in a pod: says of each of its arguments, `host:port`, whether it is reached, and if not, why.
import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';

const tries = 40;

/** The network of a pod that has only just started may not lead to the cluster's DNS yet. */
const addressOf = async (host) => {
  for (let left = tries; ; left -= 1) {
    try {
      return (await lookup(host)).address;
    } catch (error) {
      if (left === 0) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
};

const reach = (host, port) =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: 3_000 });
    const end = (what) => {
      resolve(what);
      socket.destroy();
    };
    socket.on('connect', () => end('reached')).on('timeout', () => end('no answer'));
    socket.on('error', reject);
  });

for (const target of process.argv.slice(1)) {
  const [host, port] = target.split(':');
  const told = await addressOf(host)
    .then((address) => reach(address, Number(port)))
    .catch(({ code }) => code);
  process.stdout.write(`${target} ${told}\n`);
}
