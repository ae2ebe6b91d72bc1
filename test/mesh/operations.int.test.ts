import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type KubeObject, objectsOf, render } from './support/helm.ts';
import { chart, root } from './support/paths.ts';
import { pageOf, type Rule, rules } from './support/rules.ts';

const folder = join(root, 'docs', 'how-to', 'runbooks');
/** What whoever was woken needs, in this order. */
const sections = ['What it means', 'What people feel', 'First look', 'Fix', 'Who to wake'];

let alerts: readonly (Rule & { readonly alert: string })[];
beforeAll(async () => {
  alerts = (await rules()).flatMap((rule) => (rule.alert ? [{ ...rule, alert: rule.alert }] : []));
});

const objects = async (...sets: readonly string[]): Promise<KubeObject[]> => {
  const args = ['existingSecret=skein', ...sets].flatMap((one) => ['--set', one]);
  const { ok, output } = await render(...args);
  if (!ok) throw new Error(output);
  return objectsOf(output);
};

interface PrometheusRule {
  readonly groups: readonly { readonly rules: readonly Rule[] }[];
}

const renderedAlerts = async (...sets: readonly string[]): Promise<Map<string, Rule>> => {
  const found = (await objects('metrics.rules=true', 'metrics.monitor=podMonitor', ...sets)).filter(
    ({ kind }) => kind === 'PrometheusRule',
  );
  const all = found.flatMap(({ spec }) =>
    (spec as unknown as PrometheusRule).groups.flatMap((group) => group.rules),
  );
  return new Map(all.flatMap((rule) => (rule.alert ? [[rule.alert, rule]] : [])));
};

describe('alerts', () => {
  it('say how bad it is and what it is about', () => {
    for (const { alert, labels, annotations } of alerts) {
      expect(['critical', 'warning', 'info'], alert).toContain(labels?.['severity']);
      expect(annotations?.['summary'], alert).toMatch(/\S\.$/);
    }
  });

  it('have a runbook each, and every runbook has its alert', async () => {
    const pages = (await readdir(folder)).filter((name) => name !== 'README.md').sort();
    expect(pages).toEqual(alerts.map(({ alert }) => pageOf(alert)).sort());
  });

  it('are explained in the same order everywhere, with something to run', async () => {
    for (const { alert } of alerts) {
      const text = await readFile(join(folder, pageOf(alert)), 'utf8');
      expect(text.split('\n')[0], alert).toBe(`# ${alert}`);
      expect(
        [...text.matchAll(/^## (.+)$/gm)].map(([, title]) => title),
        alert,
      ).toEqual(sections);
      expect(text, alert).toMatch(/```(promql|sh)\n/);
    }
  });

  it('are listed in the index of the runbooks with what they weigh', async () => {
    const index = await readFile(join(folder, 'README.md'), 'utf8');
    for (const { alert, labels } of alerts)
      expect(index).toContain(`| [${alert}](${pageOf(alert)}) | ${labels?.['severity']} |`);
  });

  it('lead to their runbook, wherever it is read', { timeout: 30_000 }, async () => {
    const plain = await renderedAlerts();
    const based = await renderedAlerts('metrics.runbooks=https://docs.example.org/runbooks/');
    expect([...plain.keys()].sort()).toEqual(alerts.map(({ alert }) => alert).sort());
    for (const { alert, expr } of alerts) {
      const page = pageOf(alert);
      expect(plain.get(alert)?.annotations?.['runbook']).toBe(`docs/how-to/runbooks/${page}`);
      expect(based.get(alert)?.annotations?.['runbook_url']).toBe(
        `https://docs.example.org/runbooks/${page}`,
      );
      expect(based.get(alert)?.expr).toBe(expr);
    }
  });
});

describe('how-to pages', () => {
  const pages = async (): Promise<[name: string, text: string][]> => {
    const at = join(root, 'docs', 'how-to');
    const names = (await readdir(at)).filter((name) => name.endsWith('.md'));
    return Promise.all(
      names.map(async (name): Promise<[string, string]> => [name, await readFile(join(at, name), 'utf8')]),
    );
  };

  it('set values that the chart has', { timeout: 120_000 }, async () => {
    const known = Object.keys(parse(await readFile(join(chart, 'values.yaml'), 'utf8')) as object);
    const wrong: string[] = [];
    let tried = 0;
    const attempt = async (name: string, ...args: readonly string[]) => {
      tried += 1;
      const { ok, output } = await render('--set', 'existingSecret=skein', ...args);
      if (!ok) wrong.push(`${name}: ${args.join(' ')}: ${output}`);
    };
    for (const [name, text] of await pages()) {
      for (const [, block = ''] of text.matchAll(/```yaml\n([\s\S]*?)```/g)) {
        const values = parse(block.replaceAll('…', '')) as Record<string, unknown>;
        if (!Object.keys(values).every((key) => known.includes(key))) continue;
        await attempt(
          name,
          '--set-json',
          Object.entries(values)
            .map(([key, one]) => `${key}=${JSON.stringify(one)}`)
            .join(','),
        );
      }
      for (const [command] of text.matchAll(/helm (?:-n skein )?(?:install|upgrade) skein(?:.*\\\n)*.*/g)) {
        const sets = [...command.matchAll(/--set ([\w.-]+=\S+)/g)].map(([, set = '']) => set);
        if (sets.length > 0) await attempt(name, ...sets.flatMap((set) => ['--set', set]));
      }
    }
    expect(wrong).toEqual([]);
    expect(tried).toBeGreaterThan(8);
  });
});

describe('scaling', () => {
  const autoscaled = 'services.gateway.autoscaling.enabled=true';
  const ofGateway = async (kind: string, ...sets: readonly string[]) =>
    (await objects(...sets)).find((one) => one.kind === kind && one.metadata.name === 'skein-gateway');

  it('leaves the number of pods to whoever scales: the chart, by CPU and what else is given, or another', async () => {
    const own = await ofGateway('HorizontalPodAutoscaler', autoscaled);
    expect(own?.spec?.['metrics']).toHaveLength(1);
    const more = `${autoscaled},services.gateway.autoscaling.metrics[0].type=Pods`;
    expect((await ofGateway('HorizontalPodAutoscaler', more))?.spec?.['metrics']).toHaveLength(2);
    const others = `${autoscaled},services.gateway.autoscaling.hpa=false`;
    expect(await ofGateway('HorizontalPodAutoscaler', others)).toBeUndefined();
    expect((await ofGateway('Deployment', others))?.spec).not.toHaveProperty('replicas');
    expect(await ofGateway('PodDisruptionBudget', others)).toBeDefined();
  });
});

describe('dashboards', () => {
  it('come as one ConfigMap each for the sidecar, when they are asked for', { timeout: 30_000 }, async () => {
    const boards = (all: readonly KubeObject[]) =>
      all.filter(({ metadata }) => metadata.name.includes('-dashboard-'));
    expect(boards(await objects())).toEqual([]);
    const maps = boards(
      await objects('metrics.dashboards.enabled=true', 'metrics.dashboards.annotations.grafana_folder=Skein'),
    ) as (KubeObject & { readonly data: Readonly<Record<string, string>> })[];
    const files = await readdir(join(root, 'helm', 'skein', 'files', 'dashboards'));
    expect(maps).toHaveLength(files.length);
    for (const { metadata, data } of maps) {
      expect(metadata.labels).toMatchObject({ grafana_dashboard: '1' });
      expect(metadata.annotations).toEqual({ grafana_folder: 'Skein' });
      const [[name, text] = ['', '']] = Object.entries(data);
      const file = name.replace(/^skein-/, '');
      expect(JSON.parse(text)).toEqual(
        JSON.parse(await readFile(join(root, 'helm', 'skein', 'files', 'dashboards', file), 'utf8')),
      );
    }
  });

  it('have a place of their own for every panel', async () => {
    const at = join(root, 'helm', 'skein', 'files', 'dashboards');
    for (const file of await readdir(at)) {
      const board = JSON.parse(await readFile(join(at, file), 'utf8')) as {
        panels: { id: number; gridPos: { x: number; y: number; w: number; h: number } }[];
      };
      const cells = board.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
        Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
      );
      expect(new Set(cells).size, file).toBe(cells.length);
      expect(new Set(board.panels.map(({ id }) => id)).size, file).toBe(board.panels.length);
      expect(Math.max(...board.panels.map(({ gridPos: { x, w } }) => x + w)), file).toBeLessThanOrEqual(24);
    }
  });
});
