/** A dashboard in as few words as possible, and Grafana's JSON made of it. */

/** What the numbers of a panel are, in Grafana's words. */
export type Unit = 'short' | 's' | 'bytes' | 'percentunit' | 'reqps' | 'cores';

/** One line of a panel, or many: PromQL, and what each is called (`{{label}}`). */
export interface Query {
  readonly expr: string;
  readonly legend: string;
}

/** A graph over time. `$ns` in a query stands for the matcher of the chosen namespaces. */
export interface Panel {
  readonly title: string;
  /** Shown behind an (i): what is normal, what to look at next. */
  readonly about?: string;
  readonly unit: Unit;
  readonly queries: readonly Query[];
  /** A line at what is promised or at what the process gives up. */
  readonly limit?: number;
  readonly stacked?: boolean;
}

/** A dashboard: rows of panels. */
export interface Board {
  /** Of its file and in its address, for ever. */
  readonly id: string;
  readonly title: string;
  readonly rows: readonly { readonly title: string; readonly panels: readonly Panel[] }[];
}

// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana replaces it by what is chosen.
const datasource = { type: 'prometheus', uid: '${datasource}' };
const width = 24;
const height = 8;
const most = 3;

/** The PromQL of a query as Grafana gets it. */
export const promqlOf = ({ expr }: Query): string =>
  expr
    .split('\n')
    .map((line) => line.trim())
    .join(' ')
    .trim()
    .replaceAll('$ns', 'namespace=~"$namespace"');

const panelJson = (panel: Panel, id: number, gridPos: object) => ({
  id,
  type: 'timeseries',
  title: panel.title,
  description: panel.about ?? '',
  datasource,
  gridPos,
  fieldConfig: {
    defaults: {
      unit: panel.unit === 'cores' ? 'short' : panel.unit,
      min: 0,
      custom: {
        lineWidth: 1,
        fillOpacity: panel.stacked ? 30 : 8,
        showPoints: 'never',
        stacking: { mode: panel.stacked ? 'normal' : 'none' },
        thresholdsStyle: { mode: panel.limit === undefined ? 'off' : 'dashed' },
      },
      thresholds: {
        mode: 'absolute',
        steps: [
          { color: 'green', value: null },
          ...(panel.limit === undefined ? [] : [{ color: 'red', value: panel.limit }]),
        ],
      },
    },
    overrides: [],
  },
  options: {
    legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
    tooltip: { mode: 'multi', sort: 'desc' },
  },
  targets: panel.queries.map((query, at) => ({
    refId: String.fromCharCode(65 + at),
    datasource,
    expr: promqlOf(query),
    legendFormat: query.legend,
  })),
});

/** Places rows of panels on Grafana's grid of 24 columns. */
const panelsJson = (board: Board): object[] => {
  const placed: object[] = [];
  let y = 0;
  for (const { title, panels } of board.rows) {
    placed.push({
      id: placed.length + 1,
      type: 'row',
      title,
      collapsed: false,
      gridPos: { x: 0, y, w: width, h: 1 },
      panels: [],
    });
    y += 1;
    const columns = Math.min(most, panels.length);
    for (const [at, panel] of panels.entries()) {
      const column = at % columns;
      if (at > 0 && column === 0) y += height;
      const w = width / columns;
      placed.push(panelJson(panel, placed.length + 1, { x: column * w, y, w, h: height }));
    }
    y += height;
  }
  return placed;
};

/** The dashboard as Grafana imports it. */
export const boardJson = (board: Board): object => ({
  uid: `skein-${board.id}`,
  title: `Skein / ${board.title}`,
  tags: ['skein'],
  schemaVersion: 39,
  version: 1,
  editable: true,
  refresh: '30s',
  time: { from: 'now-1h', to: 'now' },
  timezone: 'browser',
  links: [
    {
      type: 'dashboards',
      title: 'Skein',
      tags: ['skein'],
      asDropdown: true,
      includeVars: true,
      keepTime: true,
    },
  ],
  templating: {
    list: [
      { name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus', hide: 0 },
      {
        name: 'namespace',
        label: 'Namespace',
        type: 'query',
        datasource,
        query: { query: 'label_values(skein_service_info, namespace)', refId: 'namespace' },
        refresh: 2,
        includeAll: true,
        allValue: '.*',
        multi: true,
        sort: 1,
        current: { text: 'All', value: '$__all' },
      },
    ],
  },
  annotations: {
    list: [
      {
        name: 'Restarts',
        enable: true,
        datasource,
        iconColor: 'orange',
        expr: 'changes(process_start_time_seconds{namespace=~"$namespace"}[2m]) > 0 and on (namespace, pod) skein_service_info',
        titleFormat: '{{pod}} began again',
        step: '60s',
      },
    ],
  },
  panels: panelsJson(board),
});
