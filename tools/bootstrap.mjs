// The one entry of every npm script: installs what is missing, then runs the command on the pinned Node.
// Plain JavaScript without packages, because it runs before there are any, on whatever Node ≥ 20 the host has.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { consoleIsStale, markConsoleBuilt } from './bootstrap/console-build.mjs';
import { install } from './bootstrap/install.mjs';
import { finishWith, pinnedNode, root, runStep } from './bootstrap/run.mjs';

const tool = (path) => join(root, path);

/** What each command runs at the end, and what has to be there before. */
const commands = {
  start: {
    about: 'start the whole mesh on this machine',
    run: [tool('packages/launcher/src/main.ts')],
    needs: ['console'],
  },
  test: {
    about: 'run every test, on real components',
    run: [tool('node_modules/vitest/vitest.mjs'), 'run'],
    needs: ['console', 'components'],
  },
  check: { about: 'format, lint, types, unused code, layers, protos', run: [tool('tools/check.ts')] },
  skein: { about: 'look after a running mesh', run: [tool('packages/cli/src/main.ts')] },
  components: {
    about: 'fetch or build Consul, NATS and the like',
    run: [tool('packages/components/src/main.ts')],
  },
  generate: { about: 'generate code from proto/', run: [tool('tools/generate.ts')] },
  format: {
    about: 'format the sources',
    run: [tool('node_modules/@biomejs/biome/bin/biome'), 'check', '--write'],
  },
  images: {
    about: 'build the container images',
    run: [tool('tools/images/main.ts')],
    needs: ['console'],
  },
  cluster: {
    about: 'install and test on the cluster of KUBECONFIG',
    run: [tool('test/cluster/main.ts')],
    needs: ['console', 'components'],
  },
  drill: {
    about: 'roll out, or delete pods, under load on the cluster of KUBECONFIG',
    run: [tool('test/cluster/drill.ts')],
  },
  release: {
    about: 'make a release: images, chart, signatures',
    run: [tool('tools/release/main.ts')],
    needs: ['console'],
  },
  simulate: {
    about: 'run the engine under fake time, network and disk',
    run: [tool('test/simulation/simulate.ts')],
  },
  faults: {
    about: 'kill and cut everything at random under load, and check what clients saw',
    run: [tool('test/faults/main.ts')],
    needs: ['console', 'components'],
  },
  bench: { about: 'run the benchmarks', run: [tool('tools/bench.ts')], needs: ['console', 'components'] },
};

const preparations = {
  console: async () => {
    if (!consoleIsStale()) return;
    const vite = tool('packages/console/node_modules/.bin/vite');
    await runStep('console', 'building the web console', vite, ['build'], { cwd: tool('packages/console') });
    markConsoleBuilt();
  },
  components: () =>
    runStep('components', 'looking for the real components', pinnedNode, commands.components.run, {
      show: true,
    }),
};

const usage = () => {
  const rows = Object.entries(commands).map(([name, { about }]) => `  npm run ${name.padEnd(12)}${about}`);
  return `Commands:\n${rows.join('\n')}\n\nArguments for a command go after "--": npm start -- --help\n`;
};

const main = async ([name, ...args]) => {
  const command = Object.hasOwn(commands, name ?? '') ? commands[name] : undefined;
  if (!command) {
    process.stderr.write(name ? `There is no command "${name}".\n\n${usage()}` : usage());
    return 2;
  }
  await install();
  const [script] = command.run;
  if (!existsSync(script)) throw new Error(`${script} does not exist, so "${name}" cannot run.`);
  for (const need of command.needs ?? []) await preparations[need]();
  return finishWith(pinnedNode, [...command.run, ...args]);
};

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
