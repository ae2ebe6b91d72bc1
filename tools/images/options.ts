import { parseArgs } from 'node:util';

/** What the command line asks for. */
export interface ImagesOptions {
  /** Services and stand-ins, by name. */
  readonly names: readonly string[];
  readonly tag: string;
  /** In front of `skein/<service>`, with its slash at the end; empty: none. */
  readonly registry: string;
  /** `linux/arm64` and the like; undefined: this machine's. */
  readonly platform: string | undefined;
  readonly base: string | undefined;
  readonly node: string | undefined;
  /** A file that says which images need not be made again; undefined: all are made. */
  readonly contents: string | undefined;
  readonly stage: boolean;
  readonly list: boolean;
  readonly help: boolean;
}

/** What can be asked for, and what is meant by nothing. */
export interface Known {
  readonly services: readonly string[];
  readonly components: readonly string[];
  readonly version: string;
}

/** What `--help` prints. */
export const help = ({ services, components }: Known): string => `npm run images [-- options] [NAME...]

Builds container images with docker, podman or buildah, whichever works here. Without a NAME: the five services.

Names
  services                ${services.join(', ')}
  components              stand-ins for a test cluster, never to be published: ${components.join(', ')}
  all                     both
  or one by its name

Options
  --tag TAG               tag of the services' images [the version of package.json]
  --registry PREFIX       such as ghcr.io/acme: <PREFIX>/skein/<service>:<TAG>
  --platform linux/ARCH   amd64 or arm64 [that of this machine]
  --base IMAGE            what the images stand on; needs the C and C++ libraries, no shell [SKEIN_IMAGE_BASE]
  --node IMAGE            where /usr/local/bin/node is taken from [SKEIN_IMAGE_NODE]
  --contents FILE         make only the images whose contents differ from what FILE says, and write it there
  --stage                 make the files in dist/images and build nothing
  --list                  print the names of the images and do nothing
  --help                  this page

Environment
  SKEIN_IMAGE_BUILDER     docker, podman, buildah, or a program that takes NAME:TAG FOLDER and options of "docker build"
  SKEIN_IMAGE_LOADER      a program that gets the name of every finished image, such as "kind load docker-image"
`;

const definitions = {
  tag: { type: 'string' },
  registry: { type: 'string' },
  platform: { type: 'string' },
  base: { type: 'string' },
  node: { type: 'string' },
  contents: { type: 'string' },
  stage: { type: 'boolean', default: false },
  list: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

/** The command line cannot be used; the message says what would be right. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const parsed = (args: readonly string[]) => {
  try {
    return parseArgs({ args: [...args], options: definitions, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
};

/** Reads the command line; throws a UsageError for what is not in `help`. */
export const readOptions = (
  args: readonly string[],
  known: Known,
  env: Readonly<Record<string, string | undefined>> = {},
): ImagesOptions => {
  const { values, positionals } = parsed(args);
  const { services, components } = known;
  const groups: Readonly<Record<string, readonly string[]>> = {
    services,
    components,
    all: [...services, ...components],
  };
  const asked = positionals.length > 0 ? positionals : ['services'];
  const names = [
    ...new Set(asked.flatMap((name) => (Object.hasOwn(groups, name) ? (groups[name] ?? []) : [name]))),
  ];
  const unknown = names.filter((name) => !groups['all']?.includes(name));
  if (unknown.length > 0) {
    throw new UsageError(
      `There is no image ${unknown.join(', ')}; there are: ${Object.keys(groups).join(', ')}, ${groups['all']?.join(', ')}.`,
    );
  }
  const { tag = known.version, registry = '', platform, contents, stage, list, help } = values;
  const { base = env['SKEIN_IMAGE_BASE'], node = env['SKEIN_IMAGE_NODE'] } = values;
  if (tag === 'latest')
    throw new UsageError(
      'The tag latest says nothing, and a cluster would pull it again and again: choose another.',
    );
  return {
    ...{ names, tag, platform, base, node, contents, stage, list, help },
    registry: registry === '' ? '' : `${registry.replace(/\/+$/, '')}/`,
  };
};
