// npm run cluster: everything on a real cluster, from the images to the tests.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from '../mesh/support/paths.ts';
import { ensureMesh } from './istio/ensure-mesh.ts';
import { ingress, mesh, outside } from './istio/mesh.ts';
import { requireCluster } from './support/cluster.ts';
import { writeFootprint } from './support/footprint.ts';
import { loadImages } from './support/images.ts';
import { loadedStack } from './support/loaded-stack.ts';
import { probe, removeNamespaces } from './support/namespaces.ts';
import { installChart, installPlatform, plain } from './support/stack.ts';

/** The stages of a whole run. */
const usual = ['images', 'remove', 'install', 'test'];

/** Everything that the tests install something in. */
const namespaces = [
  ...[plain, loadedStack, mesh].flatMap(({ namespace, platform }) => [namespace, platform]),
  ingress.namespace,
  outside,
  probe,
];

const help = `npm run cluster [-- [options] [STAGE...]]

Installs Skein on the cluster that KUBECONFIG names, and tests it there. It must be a cluster for tests: these
namespaces are removed first, with everything in them: ${namespaces.join(', ')}.
One that the tests have not made, because it has not the label skein.dev/for-tests=true, is never removed.

Stages, in the order in which they are named; without any: ${usual.join(' ')}
  images      build the images that the cluster does not have as they are now, and load them (SKEIN_IMAGE_LOADER)
  remove      remove these namespaces
  install     components, Secrets and chart, as docs/how-to/install-with-helm.md says; stays installed
  mesh        the same once more, in namespaces of its own, in a mesh of the cluster's Istio; the tests do so too
  test        run the tests, on what is installed
  footprint   measure what is installed of these two at rest, for docs/reference/footprint-on-kubernetes.md

Options
  --images NAMES   which images: services (a cluster that can pull the others), or all [all]
  --help           this page

What comes after another "--" goes to vitest: npm run cluster -- test -- install
`;

const vitest = async (args: readonly string[]): Promise<void> => {
  const program = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const config = join(root, 'test', 'cluster', 'vitest.config.ts');
  const child = spawn(process.execPath, [program, 'run', '--config', config, ...args], {
    cwd: root,
    stdio: 'inherit',
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error('Not every test on the cluster passed.');
};

/** Does one thing and says how long it took. */
const timed = async (name: string, work: () => Promise<unknown>): Promise<void> => {
  const start = performance.now();
  await work();
  process.stdout.write(`cluster  ${name}: ${((performance.now() - start) / 1000).toFixed(0)} s\n`);
};

interface Asked {
  /** Arguments of `npm run images`. */
  readonly images: readonly string[];
  /** Arguments of vitest. */
  readonly tests: readonly string[];
}

const stages: Readonly<Record<string, (asked: Asked) => Promise<void>>> = {
  images: ({ images }) => timed('images', () => loadImages(images)),
  remove: () => timed('removed what was there', () => removeNamespaces(...namespaces)),
  install: async () => {
    await timed('components', () => installPlatform(plain));
    await timed('chart', () => installChart(plain));
  },
  mesh: () => timed('mesh', ensureMesh),
  test: ({ tests }) => timed('tests', () => vitest(tests)),
  footprint: () => timed('footprint', writeFootprint),
};

const main = async (args: readonly string[]): Promise<void> => {
  const cut = args.includes('--') ? args.indexOf('--') : args.length;
  const { values, positionals } = parseArgs({
    args: args.slice(0, cut),
    options: { images: { type: 'string', default: 'all' }, help: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  if (values.help) return void process.stdout.write(help);
  const unknown = positionals.find((name) => !Object.hasOwn(stages, name));
  if (unknown !== undefined)
    throw new Error(`There is no stage ${unknown}; the stages are: ${Object.keys(stages).join(', ')}.`);
  await requireCluster();
  const asked = { images: [values.images], tests: args.slice(cut + 1) };
  for (const name of positionals.length > 0 ? positionals : usual) await stages[name]?.(asked);
};

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
