import { demoLogin } from './demo-login.ts';
import { localMesh } from './local-mesh.ts';
import { readable } from './log-view.ts';
import { help, readOptions, UsageError } from './options.ts';
import { BusyPortError } from './ports.ts';
import { SecondCopyError } from './single-copy.ts';
import type { ProcessEvent } from './supervised-process.ts';

/** sysexits.h. */
const exit = { usage: 64, unavailable: 69 };

const colour = process.stdout.isTTY === true && !process.env['NO_COLOR'];

const show = (json: boolean) => (name: string, event: ProcessEvent) => {
  const line =
    event.kind === 'line'
      ? event.line
      : event.kind === 'ready'
        ? `ready after ${event.afterMs} ms`
        : event.restartInMs < 0
          ? `ended (${event.signal ?? `exit ${event.code}`})`
          : `ended (${event.signal ?? `exit ${event.code}`}), starting it again in ${event.restartInMs} ms`;
  if (json)
    console.log(
      event.kind === 'line' && line.startsWith('{') ? line : JSON.stringify({ service: name, msg: line }),
    );
  else console.log(readable(name, line, colour));
};

const start = async (): Promise<void> => {
  process.title = 'skein-launcher';
  const startedAt = performance.now();
  const options = readOptions(process.argv.slice(2), process.env);
  if (options.help) {
    console.log(help);
    return;
  }
  const mesh = localMesh({ ...options, env: process.env, told: show(options.json) });

  let stopping = false;
  const stop = async (signal: string) => {
    if (stopping) return;
    stopping = true;
    if (!options.json) console.log(`\n${signal}: draining, then stopping in order…`);
    await mesh.stop();
    if (!options.json) console.log('Stopped; nothing is left running.');
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop(signal));

  try {
    await mesh.run();
  } catch (error) {
    if (stopping) return;
    throw error;
  }
  const readyMs = Math.round(performance.now() - startedAt);
  const login = await demoLogin(mesh.url, mesh.secrets);
  if (options.json) {
    console.log(JSON.stringify({ ready: true, url: mesh.url, readyMs, login, uses: mesh.uses }));
    return;
  }
  const rows = Object.entries(mesh.uses).map(([name, what]) => `  ${name.padEnd(10)} ${what}`);
  console.log(
    [
      '',
      `Skein is ready after ${(readyMs / 1000).toFixed(1)} s:  ${mesh.url}`,
      `  sign in    ${login.email}  ${login.password}`,
      ...rows,
      '  stop       Ctrl-C',
      '',
    ].join('\n'),
  );
};

start().catch((error: unknown) => {
  const known =
    error instanceof UsageError || error instanceof BusyPortError || error instanceof SecondCopyError;
  console.error(
    known || !(error instanceof Error)
      ? String(error instanceof Error ? error.message : error)
      : error.message,
  );
  process.exit(error instanceof UsageError ? exit.usage : exit.unavailable);
});
