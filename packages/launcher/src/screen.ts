import type { DemoLogin } from './demo-login.ts';
import { readable } from './log-view.ts';
import type { ProcessEvent } from './supervised-process.ts';

/** What the launcher says, to a person or to a program. */
export interface Screen {
  /** Something happened to a part. */
  event(name: string, event: ProcessEvent): void;
  /** Everything runs. */
  ready(summary: {
    readonly url: string;
    readonly readyMs: number;
    /** Beside the address where its password is kept. */
    readonly login: (DemoLogin & { readonly keptIn: string }) | undefined;
    readonly uses: Readonly<Record<string, string>>;
  }): void;
  /** A sentence of the launcher about itself. */
  say(sentence: string): void;
}

type Print = (line: string) => void;

const inWords = (event: Exclude<ProcessEvent, { kind: 'line' }>): string => {
  if (event.kind === 'started') return `starting (process ${event.pid})`;
  if (event.kind === 'ready') return `ready after ${(event.afterMs / 1000).toFixed(1)} s`;
  const ended = `ended (${event.signal ?? `exit ${event.code}`})`;
  return event.restartInMs === undefined ? ended : `${ended}, starting it again in ${event.restartInMs} ms`;
};

/** One JSON object a line; what a service logs is passed on as it wrote it. */
export const jsonScreen = (print: Print): Screen => {
  const isObject = (line: string): boolean => {
    try {
      return line.startsWith('{') && typeof JSON.parse(line) === 'object';
    } catch {
      return false;
    }
  };
  return {
    event: (name, event) => {
      if (event.kind !== 'line') print(JSON.stringify({ service: name, ...event, msg: inWords(event) }));
      else print(isObject(event.line) ? event.line : JSON.stringify({ service: name, msg: event.line }));
    },
    // Lines for programs end up in log stores: the password stays in its file.
    ready: ({ login, ...summary }) =>
      print(
        JSON.stringify({
          service: 'launcher',
          ready: true,
          ...summary,
          ...(login ? { login: { email: login.email, passwordIn: login.keptIn } } : {}),
        }),
      ),
    say: (sentence) => print(JSON.stringify({ service: 'launcher', msg: sentence })),
  };
};

/** Lines for people. */
export const textScreen = (print: Print, colour: boolean): Screen => ({
  event: (name, event) => {
    if (event.kind === 'line') print(readable(name, event.line, colour));
    // A process id says little to a person before something is wrong.
    else if (event.kind !== 'started') print(readable(name, inWords(event), colour));
  },
  ready: ({ url, readyMs, login, uses }) => {
    const row = ([name, what]: readonly [string, string]) => `  ${name.padEnd(10)} ${what}`;
    const rows = [
      ...(login ? [['sign in', `${login.email}  ${login.password}`] as const] : []),
      ...Object.entries(uses),
      ['stop', 'Ctrl-C'] as const,
    ];
    print(`\nSkein is ready after ${(readyMs / 1000).toFixed(1)} s:  ${url}\n${rows.map(row).join('\n')}\n`);
  },
  say: print,
});
