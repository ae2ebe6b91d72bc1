import { statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { root, run } from '../run.ts';
import { findBuilder, type ImageSpec, loaderOf, perform } from './builder.ts';
import { componentImages, stageComponent } from './components.ts';
import { contentsKey, contentsRecord } from './contents-record.ts';
import { ownPlatform, platformNamed } from './native.ts';
import { help, type ImagesOptions, type Known, readOptions, UsageError } from './options.ts';
import { services, stageService, version } from './stage.ts';

/** Where everything is made that goes into an image. */
const folder = join(root, 'dist/images');
const componentsFolder = join(folder, 'components');

const known: Known = { services, components: Object.keys(componentImages), version };

const imageName = (name: string, { registry, tag }: ImagesOptions): string =>
  componentImages[name]?.image ?? `${registry}skein/${name}:${tag}`;

const revision = async (): Promise<string> => {
  const { code, output } = await run('git', ['rev-parse', 'HEAD']).catch(() => ({ code: 1, output: '' }));
  // A copy without its history has none.
  return code === 0 ? output.trim() : 'unknown';
};

const given = (args: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(args).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );

const specOf = async (name: string, options: ImagesOptions): Promise<ImageSpec> => {
  const { tag, base, node, platform } = options;
  const component = componentImages[name];
  const common = { name: imageName(name, options), platform };
  if (component) {
    const { user, stopSignal = 'SIGTERM' } = component;
    const args = given({ COMPONENT: name, USER: user, STOP_SIGNAL: stopSignal, BASE: base });
    return {
      ...common,
      dockerfile: join(root, 'images/components.Dockerfile'),
      context: componentsFolder,
      args,
    };
  }
  const args = given({ SERVICE: name, VERSION: tag, REVISION: await revision(), BASE: base, NODE: node });
  return { ...common, dockerfile: join(root, 'images/Dockerfile'), context: folder, args };
};

const megabytes = async (path: string): Promise<string> => {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const bytes = files.reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
  return `${(bytes / 1e6).toFixed(1)} MB`;
};

const stage = async (name: string, { tag, platform: wanted }: ImagesOptions): Promise<string> => {
  const platform = wanted ? platformNamed(wanted) : ownPlatform();
  if (componentImages[name]) return stageComponent(name, componentsFolder, platform);
  return (await stageService(name, folder, { version: tag, platform })).app;
};

const images = async (options: ImagesOptions): Promise<void> => {
  const builder = options.stage ? undefined : await findBuilder();
  const loader = loaderOf();
  const record = options.contents ? contentsRecord(options.contents) : undefined;
  for (const name of options.names) {
    const start = performance.now();
    const files = await stage(name, options);
    console.log(`${name.padEnd(14)}${files} (${await megabytes(files)})`);
    if (!builder) continue;
    const spec = await specOf(name, options);
    const key = contentsKey(files, spec);
    if (record?.has(spec.name, key)) {
      console.log(`${name.padEnd(14)}${spec.name} is there`);
      continue;
    }
    await perform(builder.command(spec));
    if (loader) await perform([...loader, spec.name]);
    record?.add(spec.name, key);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(`${name.padEnd(14)}${spec.name} by ${builder.name} in ${seconds} s`);
  }
};

try {
  const options = readOptions(process.argv.slice(2), known, process.env);
  if (options.help) process.stdout.write(help(known));
  else if (options.list) for (const name of options.names) console.log(imageName(name, options));
  else await images(options);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
