/**
 * A registry of the few kinds of metrics this product has, printed in the Prometheus text format. Labels are
 * closed sets chosen in code (never user ids), so the number of series has a bound.
 */

type Labels = Readonly<Record<string, string>>;

/** A number that only grows. */
export interface Counter {
  add(value?: number, labels?: Labels): void;
}

/** A number that is set. */
export interface Gauge {
  set(value: number, labels?: Labels): void;
}

/** One series of a histogram. */
export interface Observer {
  observe(value: number): void;
}

/** Observations sorted into buckets. */
export interface Histogram {
  observe(value: number, labels?: Labels): void;
  /** The series with these labels: for hot paths, which then do not look it up each time. */
  with(labels: Labels): Observer;
}

/** Makes metrics and prints them. A name is registered once; asking again gives the same metric. */
export interface MetricRegistry {
  /** With `read`, the number is what somebody else counts. */
  counter(name: string, help: string, read?: () => number): Counter;
  gauge(name: string, help: string, read?: () => number): Gauge;
  /** Buckets default to seconds from 1 ms to 10 s. */
  histogram(name: string, help: string, buckets?: readonly number[]): Histogram;
  /** The page a Prometheus server scrapes (text format 0.0.4). */
  print(): string;
}

/** More series than this per metric are dropped: a label that is not a closed set is a bug, not an outage. */
const maxSeries = 1_000;

const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const labelText = (labels: Labels): string => {
  const pairs = Object.entries(labels).map(
    ([key, value]) =>
      `${key}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
};

interface Metric {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  lines(name: string): string[];
}

const sample = (series: Map<string, number>, key: string, change: (old: number) => number): void => {
  if (!series.has(key) && series.size >= maxSeries) return;
  series.set(key, change(series.get(key) ?? 0));
};

const plain = (type: 'counter' | 'gauge', help: string, read?: () => number) => {
  const series = new Map<string, number>();
  return {
    type,
    help,
    add: (value = 1, labels: Labels = {}) => sample(series, labelText(labels), (old) => old + value),
    set: (value: number, labels: Labels = {}) => sample(series, labelText(labels), () => value),
    lines: (name: string) => {
      if (read) series.set('', read());
      return [...series].map(([labels, value]) => `${name}${labels} ${value}`);
    },
  };
};

interface Series {
  readonly labels: Labels;
  readonly counts: number[];
  sum: number;
  count: number;
}

const buckets = (help: string, bounds: readonly number[]) => {
  const series = new Map<string, Series>();
  const find = (labels: Labels): Series | undefined => {
    const key = labelText(labels);
    const known = series.get(key);
    if (known || series.size >= maxSeries) return known;
    const one: Series = { labels, counts: bounds.map(() => 0), sum: 0, count: 0 };
    series.set(key, one);
    return one;
  };
  const add = (one: Series | undefined, value: number): void => {
    if (!one) return;
    one.sum += value;
    one.count += 1;
    let at = 0;
    while (at < bounds.length && value > (bounds[at] ?? 0)) at += 1;
    if (at < bounds.length) one.counts[at] = (one.counts[at] ?? 0) + 1;
  };
  return {
    type: 'histogram' as const,
    help,
    observe: (value: number, labels: Labels = {}) => add(find(labels), value),
    with: (labels: Labels): Observer => {
      const one = find(labels);
      return { observe: (value) => add(one, value) };
    },
    lines: (name: string) =>
      [...series.values()].flatMap(({ labels, counts, sum, count }) => {
        let seen = 0;
        const rows = bounds.map((bound, at) => {
          seen += counts[at] ?? 0;
          return `${name}_bucket${labelText({ ...labels, le: String(bound) })} ${seen}`;
        });
        return [
          ...rows,
          `${name}_bucket${labelText({ ...labels, le: '+Inf' })} ${count}`,
          `${name}_sum${labelText(labels)} ${sum}`,
          `${name}_count${labelText(labels)} ${count}`,
        ];
      }),
  };
};

/** A registry of its own: one a process, passed as an argument. */
export const createMetrics = (): MetricRegistry => {
  const metrics = new Map<string, Metric>();
  const once = <M extends Metric>(name: string, make: () => M): M => {
    const known = metrics.get(name) as M | undefined;
    if (known) return known;
    const made = make();
    metrics.set(name, made);
    return made;
  };
  return {
    counter: (name, help, read) => once(name, () => plain('counter', help, read)),
    gauge: (name, help, read) => once(name, () => plain('gauge', help, read)),
    histogram: (name, help, bounds = secondsBuckets) => once(name, () => buckets(help, bounds)),
    print: () =>
      [...metrics]
        .flatMap(([name, metric]) => [
          `# HELP ${name} ${metric.help}`,
          `# TYPE ${name} ${metric.type}`,
          ...metric.lines(name),
        ])
        .join('\n')
        .concat('\n'),
  };
};
