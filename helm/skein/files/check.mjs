// Before an install or upgrade: can what the services need be reached from here? Names what cannot, and what to do.
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';

const deadline = Date.now() + Number(process.env.CHECK_SECONDS ?? 60) * 1000;
const attemptMs = 3000;
const pauseMs = 1000;

/** Opens a connection, sends `hello` and resolves with the first bytes that come back. */
const firstBytes = (host, port, hello) =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    const end = (settle, value) => {
      clearTimeout(timer);
      socket.destroy();
      settle(value);
    };
    const timer = setTimeout(() => end(reject, new Error('no answer')), attemptMs);
    socket.once('error', (error) => end(reject, error));
    socket.once('connect', () => hello && socket.write(hello));
    socket.once('data', (bytes) => end(resolve, bytes));
    socket.once('end', () => end(reject, new Error('closed at once')));
  });

/** What a TLS handshake with the host proves is enough: who speaks NATS over TLS from the start says nothing first. */
const handshake = (host, port) =>
  new Promise((resolve, reject) => {
    const socket = connectTls({
      host,
      port,
      servername: host,
      rejectUnauthorized: false,
      timeout: attemptMs,
    });
    socket.once('timeout', () => socket.destroy(new Error('no answer')));
    socket.once('error', reject);
    socket.once('secureConnect', () => resolve(socket.end()));
  });

/** The eight bytes that ask a Postgres server for TLS; it answers S or N. */
const askPostgres = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

const postgres = (text) => {
  const url = new URL(text);
  const port = Number(url.port || 5432);
  return {
    name: `Postgres at ${url.hostname}:${port}`,
    fix: 'Check the host of the database URL, networkPolicy.database, and that the server runs.',
    ask: async () => {
      const [answer] = await firstBytes(url.hostname, port, askPostgres);
      if (answer !== 83 && answer !== 78) throw new Error('what answers there is not Postgres');
    },
  };
};

const nats = (text) => {
  const url = new URL(text.split(',')[0].trim());
  const port = Number(url.port || 4222);
  return {
    name: `NATS at ${url.hostname}:${port}`,
    fix: 'Check events.url, networkPolicy.events, and that the server runs. Under Istio its port must be appProtocol: tcp.',
    ask: async () => {
      if (url.protocol === 'tls:') return handshake(url.hostname, port);
      const bytes = await firstBytes(url.hostname, port);
      if (!bytes.toString().startsWith('INFO ')) throw new Error('what answers there is not NATS');
    },
  };
};

const consul = (text) => {
  const url = new URL(text);
  const port = Number(url.port || 8500);
  return {
    name: `Consul at ${url.hostname}:${port}`,
    fix: 'Check discovery.url, networkPolicy.discovery, and that the agent runs and has a leader.',
    ask: async () => {
      const response = await fetch(`http://${url.hostname}:${port}/v1/status/leader`, {
        signal: AbortSignal.timeout(attemptMs),
      });
      if (!response.ok) throw new Error(`it answers ${response.status}`);
      if ((await response.json()) === '') throw new Error('it has no leader');
    },
  };
};

const sidecar = (url) => ({
  name: "Istio's sidecar in this pod",
  fix: 'istio.enabled is true, but without sidecars nothing is encrypted or refused. Label the namespace istio-injection=enabled, or istio.io/rev=<revision>, and install again; where Istio is too old for sidecars as init containers set istio.nativeSidecars to false.',
  ask: async () => {
    const response = await fetch(url, { signal: AbortSignal.timeout(attemptMs) });
    if (!response.ok) throw new Error(`it answers ${response.status}`);
  },
});

const reason = (error) => error.cause?.code ?? error.code ?? error.message;

const reachable = async ({ name, fix, ask }) => {
  for (;;) {
    try {
      await ask();
      console.log(`${name}: reached`);
      return true;
    } catch (error) {
      if (Date.now() > deadline) {
        console.error(`${name}: NOT reached (${reason(error)}). ${fix}`);
        return false;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
};

const { DATABASE_URL: database, EVENTS_URL: events = '', DISCOVERY_URL: discovery = '' } = process.env;
const { SIDECAR_URL: sidecarUrl } = process.env;
const wanted = [
  ...(sidecarUrl ? [sidecar(sidecarUrl)] : []),
  ...(database ? [postgres(database)] : []),
  ...(/^(nats|tls):/.test(events) ? [nats(events)] : []),
  ...(discovery.startsWith('consul:') ? [consul(discovery)] : []),
];
const found = await Promise.all(wanted.map(reachable));
process.exitCode = found.every(Boolean) ? 0 : 1;
