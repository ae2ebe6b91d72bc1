import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMap, parseDocument } from 'yaml';
import { componentPath } from '../../packages/components/src/index.ts';
import { must, root } from '../run.ts';

/** What is written into the values of a released chart. */
export interface ChartImages {
  readonly registry: string;
  /** Service → `sha256:…`. */
  readonly digests: Readonly<Record<string, string>>;
}

/** values.yaml with the registry and the digests as defaults; comments and everything else stay. */
export const releasedValues = (values: string, { registry, digests }: ChartImages): string => {
  const document = parseDocument(values);
  document.setIn(['image', 'registry'], registry);
  for (const [service, digest] of Object.entries(digests)) {
    const settings = document.getIn(['services', service]);
    if (!isMap(settings)) throw new Error(`values.yaml has no services.${service}`);
    settings.set('image', document.createNode({ digest }));
  }
  return document.toString({ lineWidth: 0 });
};

/** The table of the chart's README says the registry too. */
const releasedReadme = (readme: string, registry: string): string =>
  readme.replace(/^(\| `image\.registry` \| )empty/m, `$1\`${registry}\``);

/**
 * Packages the chart as it is released into `folder`, and gives the path of the package. Its images are those of the
 * release, by digest: a tag that somebody moves changes no installation.
 */
export const packageChart = async (folder: string, images: ChartImages): Promise<string> => {
  const chart = join(folder, 'chart', 'skein');
  rmSync(chart, { recursive: true, force: true });
  cpSync(join(root, 'helm/skein'), chart, { recursive: true });
  const rewrite = (name: string, change: (text: string) => string) =>
    writeFileSync(join(chart, name), change(readFileSync(join(chart, name), 'utf8')));
  rewrite('values.yaml', (text) => releasedValues(text, images));
  rewrite('README.md', (text) => releasedReadme(text, images.registry));
  const helm = await componentPath('helm');
  const said = await must(helm, ['package', chart, '--destination', folder]);
  const path = /saved it to: (.+)$/m.exec(said)?.[1];
  if (!path) throw new Error(`helm package does not say where the chart is:\n${said}`);
  return path.trim();
};
