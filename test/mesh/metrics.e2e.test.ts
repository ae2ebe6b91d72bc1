import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Device, openDevice } from '../e2e/support/device.ts';
import { newPerson, type TestMesh, testMesh } from '../e2e/support/mesh.ts';
import { promqlOf } from './dashboards/board.ts';
import { boards } from './dashboards/index.ts';
import { root } from './support/paths.ts';
import { asked } from './support/promql.ts';
import { rules } from './support/rules.ts';
import { type Exported, lint, pageOf, scrape, seriesOf } from './support/scrape.ts';

/** What Prometheus adds by what it scrapes; see the monitors of the chart. */
const ofTheTarget = ['namespace', 'pod', 'container', 'service'];
/** Labels of metrics that are silent as long as all is well, and of what the rules record. */
const silent = {
  rpc_client_circuit_open: ['circuit'],
  session_sync_writes_unusual_total: ['what'],
  gateway_sockets_closed_total: ['code'],
};
const recorded = ['slo', 'rpc_service'];

let on: TestMesh;
let device: Device;
let ports: readonly number[];
let exported: Map<string, Exported>;
const labels = new Map<string, ReadonlySet<string>>();

beforeAll(async () => {
  on = await testMesh({ mesh: true, env: { AGENT_OFFLINE_PACE_MS: '5' } });
  const person = await newPerson(on.url);
  device = await openDevice(on.url, 'phone', () => person.accessToken);
  const { turnId } = await device.say('What is in my notes?');
  await device.until('the answer', (frame) => {
    const event = frame['event'] as { type?: string; data?: { turnId?: string } } | undefined;
    return event?.type === 'message.completed' && event.data?.turnId === turnId;
  });
  const { status } = await fetch(`${on.url}/v1/spaces/personal/health-records`, {
    method: 'POST',
    headers: { authorization: `Bearer ${person.accessToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ value: { pulse: 72 } }),
  });
  expect(status).toBe(202);
  const base = Number(new URL(on.url).port) + 40;
  ports = [0, 1, 2, 3, 4, 10, 11, 12, 13, 14].map((at) => base + at);
  // The relay, the consumers and the saga come a moment after the answer.
  const late = [
    ...['skein_agent_answer_seconds', 'skein_consumer_delay_seconds', 'skein_relay_events_total'],
    'skein_saga_ended_total',
  ];
  await vi.waitFor(
    async () => {
      exported = await scrape(ports);
      expect(late.filter((name) => (exported.get(name)?.labels.size ?? 0) === 0)).toEqual([]);
    },
    { timeout: 60_000, interval: 200 },
  );
  for (const metric of exported.values()) {
    const own = silent[metric.name as keyof typeof silent] ?? [];
    for (const label of own) metric.labels.add(label);
    for (const name of seriesOf(metric))
      labels.set(
        name,
        new Set([...metric.labels, ...ofTheTarget, ...(name.endsWith('_bucket') ? ['le'] : [])]),
      );
  }
  labels.set('up', new Set(ofTheTarget));
  for (const { record, labels: own } of await rules())
    if (record) labels.set(record, new Set([...Object.keys(own ?? {}), ...recorded, ...ofTheTarget]));
}, 180_000);

afterAll(async () => {
  device?.close();
  await on?.[Symbol.asyncDispose]();
}, 90_000);

/** What an expression asks for and nobody has. */
const missingIn = (expr: string): string[] => {
  const { series, grouping } = asked(expr);
  const known = new Set(series.flatMap(({ metric }) => [...(labels.get(metric) ?? [])]));
  return [
    ...series.filter(({ metric }) => !labels.has(metric)).map(({ metric }) => metric),
    ...series.flatMap((one) =>
      one.labels
        .filter((label) => !labels.get(one.metric)?.has(label))
        .map((label) => `${one.metric}{${label}}`),
    ),
    ...grouping.filter((label) => !known.has(label)).map((label) => `by (${label}) in ${expr}`),
  ];
};

const pages = async (): Promise<[name: string, text: string][]> => {
  const docs = join(root, 'docs');
  const files = (await readdir(docs, { recursive: true })).filter((name) => name.endsWith('.md'));
  return Promise.all(
    files.map(async (name): Promise<[string, string]> => [name, await readFile(join(docs, name), 'utf8')]),
  );
};

describe('metrics of a running mesh', () => {
  it('are those of the reference, with their labels (write it: vitest -u)', async () => {
    const row = ({ name, type, help, services, labels: own }: Exported) =>
      `| \`${name}\` | ${type} | ${[...own].sort().join(', ') || '–'} | ${services.size === 5 ? 'all' : [...services].sort().join(', ')} | ${help.replace(/\.$/, '')} |`;
    const rows = [...exported.values()].sort((a, b) => (a.name < b.name ? -1 : 1)).map(row);
    const page = `# Metrics

What every process shows at \`/metrics\` on its management port, in the text format of Prometheus. Made from a running
mesh by \`test/mesh/metrics.e2e.test.ts\`, which also compares dashboards, alerts and runbooks with it.

Times are seconds, sizes bytes. Labels are closed sets: codes of [errors](errors.md), routes, methods, names in the
code; never people. Prometheus adds \`namespace\`, \`pod\` and \`container\`. Figures of NATS, Consul and Postgres
themselves come from their makers' exporters.

| metric | type | labels | services | what it is |
| --- | --- | --- | --- | --- |
${rows.join('\n')}
`;
    await expect(page).toMatchFileSnapshot(join(root, 'docs', 'reference', 'metrics.md'));
  });

  it('are written as Prometheus wants them', async () => {
    for (const port of ports) expect(await lint(await pageOf(port)), String(port)).toBe('');
  });

  it('are what every dashboard asks for', () => {
    const queries = boards.flatMap(({ id, rows }) =>
      rows.flatMap(({ panels }) =>
        panels.flatMap((panel) => panel.queries.map((query) => ({ at: `${id}: ${panel.title}`, query }))),
      ),
    );
    expect(queries.length).toBeGreaterThan(40);
    expect(
      queries.flatMap(({ at, query }) => missingIn(promqlOf(query)).map((what) => `${at}: ${what}`)),
    ).toEqual([]);
  });

  it('are what every rule and alert asks for', async () => {
    const all = await rules();
    expect(
      all.flatMap(({ alert, record, expr }) => missingIn(expr).map((what) => `${alert ?? record}: ${what}`)),
    ).toEqual([]);
  });

  it('are what the queries of the documentation ask for, and what it names', async () => {
    const found: string[] = [];
    const familyOf = (name: string) => name.split('_', 2).join('_');
    const families = new Set([...exported.keys()].map(familyOf));
    for (const [name, text] of await pages()) {
      const queries = [...text.matchAll(/```promql\n([\s\S]*?)```/g)].flatMap(([, block = '']) =>
        block.split(/\n\s*\n|\n(?=\S)/).filter((line) => line.trim() !== '' && !line.startsWith('#')),
      );
      for (const query of queries) found.push(...missingIn(query).map((what) => `${name}: ${what}`));
      for (const [, word = ''] of text.matchAll(/`([a-z]+_[a-z]+_\w+)/g))
        if (families.has(familyOf(word)) && !labels.has(word) && !exported.has(word))
          found.push(`${name}: ${word}`);
    }
    expect(found).toEqual([]);
  });

  it('are beside a database that answers what the documentation asks it', async () => {
    const client = new pg.Client(on.mesh.postgres?.url ?? '');
    await client.connect();
    const found: string[] = [];
    for (const [name, text] of await pages())
      for (const [, , double, single] of text.matchAll(/psql (\S+) -c (?:"((?:[^"\\]|\\.)*)"|'([^']*)')/g)) {
        const sql = (double ?? single ?? '').replaceAll('\\"', '"');
        if (/^select/i.test(sql))
          await client.query(sql).catch((error) => found.push(`${name}: ${sql}: ${error}`));
      }
    await client.end();
    expect(found).toEqual([]);
  });

  it('tell that NATS and Consul are away, how far relays are behind, and when it is over', async () => {
    const all = async (metric: string) => {
      const found = await Promise.all(ports.map(pageOf));
      const values = found.map((page) => new RegExp(`^${metric} (\\S+)`, 'm').exec(page)?.[1]);
      return values.flatMap((value) => (value === undefined ? [] : Number(value)));
    };
    const most = async (metric: string) => Math.max(...(await all(metric)));
    const least = async (metric: string) => Math.min(...(await all(metric)));
    const patience = { timeout: 60_000 };
    await on.mesh.drills.pause('nats');
    await on.mesh.drills.pause('consul');
    await expect.poll(() => most('skein_nats_up'), patience).toBe(0);
    await expect.poll(() => most('skein_consul_up'), patience).toBe(0);
    await expect.poll(() => most('skein_relay_lag_seconds'), patience).toBeGreaterThan(5);
    await on.mesh.drills.resume('consul');
    await on.mesh.drills.resume('nats');
    await expect.poll(() => least('skein_nats_up'), patience).toBe(1);
    await expect.poll(() => least('skein_consul_up'), patience).toBe(1);
    await expect.poll(() => most('skein_relay_lag_seconds'), patience).toBeLessThan(5);
  }, 240_000);

  it('would be missed: a name, a label to choose by, a label to group by, a way to write it', async () => {
    expect(await lint('# TYPE gateway_ms counter\ngateway_ms 1\n')).toContain('gateway_ms');
    expect(missingIn('rate(gateway_deliverys_total[5m])')).toEqual(['gateway_deliverys_total']);
    expect(missingIn('skein_relay_events_total{stream="x"}')).toEqual(['skein_relay_events_total{stream}']);
    expect(missingIn('sum by (user) (gateway_connections)')).toHaveLength(1);
  });
});
