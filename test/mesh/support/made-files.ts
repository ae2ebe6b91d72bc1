import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { boardJson } from '../dashboards/board.ts';
import { boards } from '../dashboards/index.ts';
import { type ChartValue, chartValues } from './chart-values.ts';
import { codeEdges } from './code-edges.ts';
import { chart, golden, type Profile, profiles } from './paths.ts';
import { valuesSchema } from './values-schema.ts';

/** A file that is made from others: where it is, and what has to be in it. */
export interface MadeFile {
  readonly path: string;
  readonly content: string;
}

const begin = '<!-- values: made from values.yaml by test/mesh/update.ts -->';
const end = '<!-- end of values -->';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

const fallbackCell = ({ path, fallback }: ChartValue): string => {
  if (path === 'services') return 'see values.yaml';
  const text = JSON.stringify(fallback);
  return text === '""' ? 'empty' : `\`${text.replace(/^"(.*)"$/, '$1').replaceAll('|', '\\|')}\``;
};

const valuesTable = (values: readonly ChartValue[]): string =>
  [
    '| value | default | what it does |',
    '| --- | --- | --- |',
    ...values.map((value) => `| \`${value.path}\` | ${fallbackCell(value)} | ${cell(value.about)} |`),
  ].join('\n');

const readme = async (values: readonly ChartValue[]): Promise<string> => {
  const text = await readFile(join(chart, 'README.md'), 'utf8');
  const [before, rest = ''] = text.split(begin);
  const [, after] = rest.split(end);
  if (after === undefined) throw new Error(`helm/skein/README.md lacks ${begin} … ${end}`);
  return `${before}${begin}\n\n${valuesTable(values)}\n\n${end}${after}`;
};

const edges = async (): Promise<string> =>
  `# Who calls which methods of whom, and who has a database and events. Made from the code of the services by
# test/mesh/update.ts: the clients that each compose.ts makes, and the callers that each service allows. Network
# policies, authorization policies and the static list of services are rendered from it.
${stringify({ services: await codeEdges() }, { lineWidth: 0 })}`;

/** The files of the chart that are made from values.yaml, the code and the descriptions of dashboards. */
export const madeFiles = async (): Promise<MadeFile[]> => {
  const values = await chartValues();
  return [
    { path: join(chart, 'files', 'edges.yaml'), content: await edges() },
    {
      path: join(chart, 'values.schema.json'),
      content: `${JSON.stringify(valuesSchema(values), null, 2)}\n`,
    },
    { path: join(chart, 'README.md'), content: await readme(values) },
    ...boards.map((board) => ({
      path: join(chart, 'files', 'dashboards', `${board.id}.json`),
      content: `${JSON.stringify(boardJson(board), null, 1)}\n`,
    })),
  ];
};

/** The golden renders; `renderProfile` renders one. */
export const goldenFiles = (renderProfile: (profile: Profile) => Promise<string>): Promise<MadeFile[]> =>
  Promise.all(
    profiles.map(async (profile) => ({ path: golden(profile), content: await renderProfile(profile) })),
  );
