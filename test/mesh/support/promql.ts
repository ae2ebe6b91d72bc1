import { parser } from '@prometheus-io/lezer-promql';

/** What a PromQL expression asks for. */
export interface Asked {
  /** Series by the name of their metric, with the labels they are chosen by. */
  readonly series: readonly { readonly metric: string; readonly labels: readonly string[] }[];
  /** Labels that results are grouped by or matched on. */
  readonly grouping: readonly string[];
}

/** Grafana's own words, which are no PromQL, as durations. */
const plain = (expr: string): string => expr.replaceAll(/\$__rate_interval|\$__range/g, '5m');

/** Reads an expression by the grammar of Prometheus. Throws where it is none. */
export const asked = (text: string): Asked => {
  const expr = plain(text);
  const series: { metric: string; labels: string[] }[] = [];
  const grouping: string[] = [];
  let within = '';
  parser.parse(expr).iterate({
    enter: (node) => {
      const here = expr.slice(node.from, node.to);
      if (node.type.isError) throw new Error(`not PromQL at ${node.from}: ${text}`);
      if (node.name === 'VectorSelector') series.push({ metric: '', labels: [] });
      const last = series.at(-1);
      if (node.name === 'Identifier' && last) last.metric = here;
      if (node.name === 'LabelMatchers' || node.name === 'GroupingLabels') within = node.name;
      if (node.name === 'LabelName' && within === 'GroupingLabels') grouping.push(here);
      if (node.name === 'LabelName' && within === 'LabelMatchers') last?.labels.push(here);
    },
  });
  return { series, grouping };
};
