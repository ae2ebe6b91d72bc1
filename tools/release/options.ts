import { parseArgs } from 'node:util';
import { UsageError } from '../images/options.ts';

/** What a release is made of, in this order. */
export const stages = ['check', 'images', 'chart', 'publish'] as const;

/** One part of a release. */
export type Stage = (typeof stages)[number];

/** What the command line asks for. */
export interface ReleaseOptions {
  readonly stages: readonly Stage[];
  /** Where images and chart go, such as `ghcr.io/acme`. */
  readonly registry: string;
  /** The tag that is released, `v` and the version; empty: none yet. */
  readonly tag: string;
  readonly dryRun: boolean;
  readonly help: boolean;
}

/** What `--help` prints. */
export const help = `npm run release -- --registry PREFIX [options] [STAGE...]

Makes a release of this version. Stages, all of them unless some are named:
  check     do the versions, the changelog and the schemas agree
  images    build the five images, push them, and write down their digests
  chart     package the chart, with the registry and the digests of the images in it
  publish   sign the images and attest what is in them, push and sign the chart, make the release on GitHub

Options
  --registry PREFIX  such as ghcr.io/acme: <PREFIX>/skein/<service> and oci://<PREFIX>/charts/skein
  --tag TAG          the tag that is released; it must be "v" and the version of package.json
  --dry-run          run what works here, and only print what pushes, signs or publishes
  --help             this page

Needs docker, and for publish cosign and gh, each signed in. What is made lies in dist/release.
`;

const definitions = {
  registry: { type: 'string', default: '' },
  tag: { type: 'string', default: '' },
  'dry-run': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

const parsed = (args: readonly string[]) => {
  try {
    return parseArgs({ args: [...args], options: definitions, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
};

const isStage = (name: string): name is Stage => stages.some((stage) => stage === name);

/** Reads the command line; throws a UsageError for what is not in `help`. */
export const readOptions = (args: readonly string[]): ReleaseOptions => {
  const { values, positionals } = parsed(args);
  const unknown = positionals.find((name) => !isStage(name));
  if (unknown !== undefined)
    throw new UsageError(`There is no stage ${unknown}; the stages are: ${stages.join(', ')}.`);
  // In their order, whatever order they are named in.
  const wanted = stages.filter((stage) => positionals.length === 0 || positionals.includes(stage));
  const registry = values.registry.replace(/\/+$/, '');
  if (!values.help && registry === '' && wanted.some((stage) => stage !== 'check'))
    throw new UsageError('Say where the images go: --registry ghcr.io/acme');
  return { stages: wanted, registry, tag: values.tag, dryRun: values['dry-run'], help: values.help };
};
