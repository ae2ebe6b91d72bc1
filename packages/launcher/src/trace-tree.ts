/** One finished span, as far as a tree needs it. */
export interface SinkSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly service: string;
  readonly name: string;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly failed: boolean;
}

/** Deeper spans are left out; no call of ours goes nearly as deep. */
const maxDepth = 64;

const byStart = (a: SinkSpan, b: SinkSpan): number => Number(a.startNs - b.startNs);
const ms = (ns: bigint): string => (Number(ns) / 1e6).toFixed(1);

/** A trace as an indented tree: service, span, milliseconds after the start, milliseconds long. */
export const traceTree = (spans: readonly SinkSpan[]): string => {
  // An exporter that repeats itself sends a span twice.
  const known = new Map(spans.map((span) => [span.spanId, span]));
  const sorted = [...known.values()].sort(byStart);
  // The root is the span whose parent is not here: another process may still hold it, or nobody recorded it.
  const byParent = Map.groupBy(sorted, (span) => (known.has(span.parentSpanId) ? span.parentSpanId : ''));
  const origin = sorted[0]?.startNs ?? 0n;
  const linesUnder = (parent: string, depth: number): string[] =>
    (depth < maxDepth ? (byParent.get(parent) ?? []) : []).flatMap((span) => [
      `${'  '.repeat(depth)}${span.service}  ${span.name}  +${ms(span.startNs - origin)} ms  ${ms(span.endNs - span.startNs)} ms${span.failed ? '  failed' : ''}`,
      ...linesUnder(span.spanId, depth + 1),
    ]);
  return linesUnder('', 0).join('\n');
};
