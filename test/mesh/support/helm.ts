import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { componentPath } from '@skein/components';
import { parseAllDocuments } from 'yaml';
import { chart, type Profile, profileValues } from './paths.ts';

/** What a run of Helm left. */
export interface HelmResult {
  readonly ok: boolean;
  readonly output: string;
}

const timeoutMs = 60_000;
const maxOutputBytes = 16 * 1024 * 1024;

/** Runs Helm without a cluster and without the configuration of whoever runs it. */
export const helm = async (...args: readonly string[]): Promise<HelmResult> => {
  const file = await componentPath('helm');
  const env = { PATH: process.env['PATH'], HOME: '/nonexistent', KUBECONFIG: '/nonexistent' };
  try {
    const { stdout } = await promisify(execFile)(file, [...args], {
      env,
      timeout: timeoutMs,
      maxBuffer: maxOutputBytes,
    });
    return { ok: true, output: stdout };
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    return { ok: false, output: stdout + stderr };
  }
};

/** Renders the chart as release `skein` in namespace `skein`; `args` are more arguments, such as values. */
export const render = (...args: readonly string[]): Promise<HelmResult> =>
  helm('template', 'skein', chart, '--namespace', 'skein', ...args);

/** A profile as Helm renders it; its error when it cannot. */
export const renderProfile = async (profile: Profile): Promise<string> => {
  const { ok, output } = await render('--values', profileValues(profile));
  if (!ok) throw new Error(`${profile} cannot be rendered:\n${output}`);
  return output;
};

/** A Kubernetes object, as far as the tests look at all of them. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** The objects of a YAML text; empty documents are left out. */
export const objectsOf = (text: string): KubeObject[] =>
  parseAllDocuments(text).flatMap((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    const object: KubeObject | null = document.toJS();
    return object ? [object] : [];
  });

/** The objects of files. */
export const objectsOfFiles = async (files: readonly string[]): Promise<KubeObject[]> =>
  (await Promise.all(files.map((file) => readFile(file, 'utf8')))).flatMap(objectsOf);
