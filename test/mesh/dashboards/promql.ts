import type { Query } from './board.ts';

/** Quantiles of a histogram over all pods, by one label or none. */
export const quantiles = (
  histogram: string,
  { of = [0.5, 0.99], match = '', by = '' }: { of?: readonly number[]; match?: string; by?: string } = {},
): Query[] =>
  of.map((quantile) => ({
    expr: `histogram_quantile(${quantile}, sum by (le${by === '' ? '' : `, ${by}`}) (rate(${histogram}_bucket{$ns${match === '' ? '' : `, ${match}`}}[$__rate_interval])))`,
    legend: `${by === '' ? '' : `{{${by}}} `}p${quantile * 100}`,
  }));

/** How many a second, by a label or in all. */
export const rateBy = (counter: string, by: string, match = ''): Query => ({
  expr: `sum by (${by}) (rate(${counter}{$ns${match === '' ? '' : `, ${match}`}}[$__rate_interval]))`,
  legend: by
    .split(', ')
    .map((label) => `{{${label}}}`)
    .join(' '),
});

/** How many a second in all. */
export const rateOf = (counter: string, legend: string, match = ''): Query => ({
  expr: `sum(rate(${counter}{$ns${match === '' ? '' : `, ${match}`}}[$__rate_interval]))`,
  legend,
});

/** A gauge of every pod. */
export const perPod = (gauge: string): Query => ({ expr: `max by (pod) (${gauge}{$ns})`, legend: '{{pod}}' });
