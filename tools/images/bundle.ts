import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { build, type Metafile } from 'esbuild';
import { root } from '../run.ts';

/** A service as plain JavaScript that runs on Node alone. */
export interface Bundle {
  /** `main.mjs`, mostly `skein.mjs`, and the chunks that are loaded later, by file name. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** A source map for each of them; for whoever reads a stack trace, never for the image. */
  readonly maps: ReadonlyMap<string, Uint8Array>;
  /** Which file of which package went in, with paths from the root of the work tree. */
  readonly metafile: Metafile;
  /** npm packages that are imported but cannot be bundled: they hold compiled code. */
  readonly native: readonly string[];
}

/** Packages whose compiled part has to stay a file; what else is external would be missing in the image. */
const nativePackages = ['@node-rs/argon2'];

/** Asked for by pg and ws, who go on without: we have never installed them. */
const optionalPackages = ['pg-native', 'bufferutil', 'utf-8-validate'];

/**
 * CommonJS inside an ES module looks for these three. The only files that a library of ours reads from beside itself
 * are the protos of @grpc/reflection, two folders up from its code: they are put beside the bundle.
 */
const commonJs = [
  "import{createRequire as $require}from'node:module'",
  "const require=$require(import.meta.url),__filename=import.meta.filename,__dirname=import.meta.dirname+'/build/src';",
].join(';');

const externals = ({ outputs }: Metafile): string[] => {
  const imports = Object.values(outputs).flatMap((output) => output.imports);
  const outside = imports.filter(({ external, path }) => external && !isBuiltin(path));
  return [...new Set(outside.map(({ path }) => path))].sort();
};

/** A bundle gives what is loaded lazily from CommonJS without the names of its exports, and nothing says so. */
export const namelessImports = ({ inputs }: Metafile): string[] =>
  Object.entries(inputs).flatMap(([file, { imports }]) =>
    imports
      .filter(({ kind, path }) => kind === 'dynamic-import' && inputs[path]?.format === 'cjs')
      .map(({ path }) => `${file} → ${path}`),
  );

/** Where the command for operators is of use, and costs next to nothing: it shares the chunks of the service. */
const withDatabase = (service: string): boolean => service !== 'gateway';

/**
 * Bundles `services/<service>/src/main.ts`, beside most of them the command `skein`. What the source loads lazily (NATS, Consul, telemetry, reflection) stays
 * in chunks of its own: one file would cost every process 8 to 13 MB and a third of its start. The same sources give
 * the same bytes. Throws when something cannot be resolved or would be missing.
 */
export const bundle = async (service: string): Promise<Bundle> => {
  const result = await build({
    absWorkingDir: root,
    entryPoints: {
      main: `services/${service}/src/main.ts`,
      ...(withDatabase(service) ? { skein: 'packages/cli/src/main.ts' } : {}),
    },
    outdir: `dist/images/${service}`,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    external: nativePackages,
    banner: { js: commonJs },
    // Names stay: a stack trace in a log is read by people.
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    sourcemap: 'external',
    sourcesContent: false,
    metafile: true,
    write: false,
    logLevel: 'silent',
  });
  const outside = externals(result.metafile);
  const native = outside.filter((name) => nativePackages.includes(name));
  const missing = outside.filter((name) => ![...nativePackages, ...optionalPackages].includes(name));
  if (missing.length > 0) throw new Error(`The bundle of ${service} would lack ${missing.join(', ')}.`);
  const nameless = namelessImports(result.metafile);
  if (nameless.length > 0) {
    throw new Error(
      `CommonJS is loaded lazily: ${nameless.join(', ')}. Import its names in a module of ours, and load that lazily.`,
    );
  }
  const folder = join(root, 'dist/images', service);
  const named = result.outputFiles.map(
    ({ path, contents }) => [path.slice(folder.length + 1), contents] as const,
  );
  return {
    files: new Map(named.filter(([name]) => name.endsWith('.mjs'))),
    maps: new Map(named.filter(([name]) => name.endsWith('.map'))),
    metafile: result.metafile,
    native,
  };
};
