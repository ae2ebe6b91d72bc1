import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { SchemaRecipe } from './catalogue.ts';
import { type GoToolchain, goEnvironment, modulesFolder } from './go-toolchain.ts';
import { runTool } from './run-tool.ts';

/** A JSON schema, or any part of one. */
type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type JsonObject = Readonly<Record<string, Json>>;

const downloadTimeoutMs = 10 * 60_000;

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const intOrString: JsonObject = { anyOf: [{ type: 'integer' }, { type: 'string' }] };
/** Their OpenAPI calls these a text; a plain number is taken too. */
const lenient: JsonObject = { anyOf: [{ type: 'number' }, { type: 'string' }] };
const lenientDefinitions = new Set([
  'io.k8s.apimachinery.pkg.api.resource.Quantity',
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString',
]);

/**
 * The same schema, without prose, refusing what it does not name. Parts of a combination (`oneOf` and so on) only see
 * some of the properties, so they stay open.
 */
export const strict = (schema: Json, open = false): Json => {
  if (Array.isArray(schema)) return schema.map((one: Json) => strict(one, open));
  if (!isObject(schema)) return schema;
  if (schema['x-kubernetes-int-or-string'] === true || schema['format'] === 'int-or-string')
    return intOrString;
  const entries = Object.entries(schema).flatMap(([key, value]): [string, Json][] => {
    if (key === 'description' || key.startsWith('x-kubernetes-')) return [];
    if (key === 'properties' && isObject(value)) {
      // Here the keys are names of fields, whatever they are called.
      return [
        [key, Object.fromEntries(Object.entries(value).map(([name, one]) => [name, strict(one, open)]))],
      ];
    }
    return [[key, strict(value, open || ['oneOf', 'anyOf', 'allOf', 'not'].includes(key))]];
  });
  const closes =
    !open &&
    isObject(schema['properties']) &&
    schema['additionalProperties'] === undefined &&
    schema['x-kubernetes-preserve-unknown-fields'] !== true;
  return { ...Object.fromEntries(entries), ...(closes ? { additionalProperties: false } : {}) };
};

const refs = (schema: Json): string[] => {
  if (Array.isArray(schema)) return schema.flatMap((one: Json) => refs(one));
  if (!isObject(schema)) return [];
  return Object.entries(schema).flatMap(([key, value]) =>
    key === '$ref' && typeof value === 'string' ? [value.replace('#/definitions/', '')] : refs(value),
  );
};

interface Kind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly schema: JsonObject;
}

/** Every kind of Kubernetes' own OpenAPI document, each with the definitions it needs and no others. */
export const builtInKinds = (definitions: Readonly<Record<string, JsonObject>>): Kind[] => {
  const strictOnes = new Map(
    Object.entries(definitions).map(([name, one]) => [
      name,
      lenientDefinitions.has(name) ? lenient : strict(one),
    ]),
  );
  const reachable = (from: string, found = new Map<string, Json>()): Map<string, Json> => {
    const schema = strictOnes.get(from);
    if (schema === undefined || found.has(from)) return found;
    found.set(from, schema);
    for (const name of refs(schema)) reachable(name, found);
    return found;
  };
  return Object.entries(definitions).flatMap(([name, one]) => {
    const kinds = one['x-kubernetes-group-version-kind'];
    // What many kinds share, such as DeleteOptions, is no object of its own.
    if (!Array.isArray(kinds) || kinds.length !== 1 || name.endsWith('List')) return [];
    const { group, version, kind } = kinds[0] as { group: string; version: string; kind: string };
    const schema = { $ref: `#/definitions/${name}`, definitions: Object.fromEntries(reachable(name)) };
    return [{ group, version, kind, schema }];
  });
};

interface CustomResourceDefinition {
  readonly kind?: string;
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly {
      readonly name: string;
      readonly schema: { readonly openAPIV3Schema: JsonObject };
    }[];
  };
}

/** Every kind and version of the CustomResourceDefinitions in a YAML text. */
export const customKinds = (text: string): Kind[] =>
  parseAllDocuments(text).flatMap((document) => {
    const found: CustomResourceDefinition | null = document.toJS();
    if (found?.kind !== 'CustomResourceDefinition') return [];
    const { group, names, versions } = found.spec;
    return versions.map(({ name, schema }) => {
      const closed = strict(schema.openAPIV3Schema) as JsonObject;
      const fields = {
        apiVersion: { type: 'string' },
        kind: { type: 'string' },
        metadata: { type: 'object' },
      };
      const properties = { ...(closed['properties'] as JsonObject), ...fields };
      return { group, version: name, kind: names.kind, schema: { ...closed, properties } };
    });
  });

const yamlFiles = async (folder: string): Promise<string[]> =>
  (await readdir(folder)).filter((file) => file.endsWith('.yaml')).map((file) => join(folder, file));

/** Reads the kinds of a module's CustomResourceDefinitions, and keeps the definitions themselves in `into`. */
const definedIn = async (source: string, into: string): Promise<Kind[]> => {
  await mkdir(into, { recursive: true });
  const read = async (file: string): Promise<Kind[]> => {
    const kinds = customKinds(await readFile(file, 'utf8'));
    if (kinds.length > 0) await copyFile(file, join(into, basename(file)));
    return kinds;
  };
  return (await Promise.all((await yamlFiles(source)).map(read))).flat();
};

/**
 * Writes `<group>/<kind>_<version>.json` under `folder` (`v1/` for the core group) for every kind of Kubernetes, Istio,
 * the Gateway API and the Prometheus operator, from the documents in their own Go modules; and under `crds/<module>/`
 * the CustomResourceDefinitions themselves, for clusters that lack them.
 */
export const buildKubernetesSchemas = async (
  { modules }: SchemaRecipe,
  go: GoToolchain,
  folder: string,
): Promise<void> => {
  for (const { module, version, path } of modules) {
    const told = await runTool(go.path, ['mod', 'download', '-json', `${module}@${version}`], {
      cwd: join(modulesFolder, 'kubernetes-schemas'),
      env: goEnvironment,
      timeoutMs: downloadTimeoutMs,
    });
    const { Dir: directory }: { Dir: string } = JSON.parse(told);
    const source = join(directory, path);
    const kinds = source.endsWith('.json')
      ? builtInKinds(JSON.parse(await readFile(source, 'utf8')).definitions)
      : await definedIn(source, join(folder, 'crds', module));
    if (kinds.length === 0) throw new Error(`${module}@${version} has no kinds under ${path}.`);
    for (const { group, version: kindVersion, kind, schema } of kinds) {
      const into = join(folder, group || 'v1');
      await mkdir(into, { recursive: true });
      await writeFile(join(into, `${kind.toLowerCase()}_${kindVersion}.json`), JSON.stringify(schema));
    }
  }
};
