import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { root } from '../run.ts';

/** A container of compose.yaml, as far as we look at it. */
export interface Container {
  readonly image: string;
  readonly user?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly networks: readonly string[];
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
}

interface ComposeFile {
  readonly services: Readonly<Record<string, Container>>;
  readonly configs: Readonly<Record<string, { readonly content: string }>>;
}

/** compose.yaml with its anchors merged and its variables as they are written. */
export const composeFile = (): ComposeFile =>
  parse(readFileSync(join(root, 'compose.yaml'), 'utf8'), { merge: true });

/** Fills in `${NAME:-default}` and `${NAME:?sentence}` as Compose does. */
export const interpolate = (text: string, env: Readonly<Record<string, string>>): string =>
  text.replace(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_, name: string, kind?: string, rest?: string) => {
    if (env[name]) return env[name];
    if (kind === '?') throw new Error(`${name} ${rest}`);
    return rest ?? '';
  });

/** What `ENV` of images/Dockerfile sets. */
export const imageEnvironment = (): Readonly<Record<string, string>> => {
  const dockerfile = readFileSync(join(root, 'images/Dockerfile'), 'utf8');
  const lines = dockerfile.replace(/\\\n/g, ' ').split('\n');
  const pairs = lines
    .filter((line) => line.startsWith('ENV '))
    .join(' ')
    .matchAll(/(\w+)=(\S+)/g);
  return Object.fromEntries([...pairs].map(([, name = '', value = '']) => [name, value]));
};
