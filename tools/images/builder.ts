import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { root, run } from '../run.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** One image to make. */
export interface ImageSpec {
  /** With its tag. */
  readonly name: string;
  readonly dockerfile: string;
  /** The folder that COPY takes from. */
  readonly context: string;
  readonly args: Readonly<Record<string, string>>;
  /** `linux/arm64`; undefined: the builder's own. */
  readonly platform: string | undefined;
}

/** A program that makes images from Dockerfiles. */
export interface Builder {
  readonly name: string;
  /** The command line that makes an image. */
  readonly command: (spec: ImageSpec) => readonly [file: string, ...args: string[]];
}

const options = ({ dockerfile, args, platform }: ImageSpec): string[] => [
  '-f',
  dockerfile,
  ...Object.entries(args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
  ...(platform ? ['--platform', platform] : []),
];

const wellKnown = (name: string, ...verb: string[]): Builder => ({
  name,
  command: (spec) => [name, ...verb, '-t', spec.name, ...options(spec), spec.context],
});

/** In order of preference, and how each is asked whether it can work: a docker client alone cannot. */
const known: readonly { readonly builder: Builder; readonly probe: readonly string[] }[] = [
  { builder: wellKnown('docker', 'build'), probe: ['version', '--format', '{{.Server.Version}}'] },
  { builder: wellKnown('podman', 'build'), probe: ['version'] },
  // The others make a layer of each step by themselves, so that images share what is the same.
  { builder: wellKnown('buildah', 'bud', '--layers'), probe: ['version'] },
];

const words = (text: string): string[] => text.split(/\s+/).filter(Boolean);

const works = async (file: string, probe: readonly string[]): Promise<boolean> => {
  try {
    return (await run(file, probe)).code === 0;
  } catch {
    // It is not there.
    return false;
  }
};

/**
 * The builder that `SKEIN_IMAGE_BUILDER` names (docker, podman, buildah, or a program that is called with
 * `NAME:TAG FOLDER -f DOCKERFILE --build-arg NAME=VALUE…`), else the first of the three that works here. The error
 * when there is none is a sentence.
 */
export const findBuilder = async (env: Environment = process.env): Promise<Builder> => {
  const wanted = env['SKEIN_IMAGE_BUILDER'];
  if (wanted) {
    const [file = wanted, ...first] = words(wanted);
    return (
      known.find(({ builder }) => builder.name === wanted)?.builder ?? {
        name: wanted,
        command: (spec) => [file, ...first, spec.name, spec.context, ...options(spec)],
      }
    );
  }
  for (const { builder, probe } of known) if (await works(builder.name, probe)) return builder;
  throw new Error(
    'Neither docker (with its engine running), podman nor buildah works here: install one of them, or name a builder in SKEIN_IMAGE_BUILDER. With "--stage" the files are made without building images.',
  );
};

/** The program that gets each finished image's name (`SKEIN_IMAGE_LOADER`, such as `kind load docker-image`). */
export const loaderOf = (env: Environment = process.env): readonly [string, ...string[]] | undefined => {
  const [file, ...args] = words(env['SKEIN_IMAGE_LOADER'] ?? '');
  return file ? [file, ...args] : undefined;
};

/** Runs a command with our output; rejects with a sentence when it fails. */
export const perform = async ([file, ...args]: readonly [string, ...string[]]): Promise<void> => {
  const child = spawn(file, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = await once(child, 'close').catch((error: unknown) => {
    throw new Error(`${file} cannot be run.`, { cause: error });
  });
  if (code !== 0) throw new Error(`${[file, ...args].join(' ')} failed (exit ${code}).`);
};
