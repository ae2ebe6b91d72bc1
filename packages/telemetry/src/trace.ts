import {
  type Attributes,
  type Context,
  context,
  INVALID_SPAN_CONTEXT,
  isSpanContextValid,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';

export { SpanKind };

const tracer = trace.getTracer('skein');

/** The W3C `traceparent` of the active span; undefined outside of one. */
export const currentTraceparent = (ctx: Context = context.active()): string | undefined => {
  const span = trace.getSpanContext(ctx);
  if (!span || !isSpanContextValid(span)) return undefined;
  return `00-${span.traceId}-${span.spanId}-${(span.traceFlags & TraceFlags.SAMPLED) === 1 ? '01' : '00'}`;
};

const traceparentShape = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** The context a `traceparent` names; the active one for anything malformed. */
export const contextFrom = (traceparent: string | undefined): Context => {
  const match = traceparent === undefined ? null : traceparentShape.exec(traceparent);
  const [, traceId, spanId, flags] = match ?? [];
  if (!traceId || !spanId || !flags) return context.active();
  const span = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true };
  return isSpanContextValid(span) ? trace.setSpanContext(context.active(), span) : context.active();
};

/** How a span is opened. */
export interface SpanOptions {
  readonly kind?: SpanKind;
  /** The parent from another process; without one the active span is the parent. */
  readonly traceparent?: string | undefined;
  /** Makes it the beginning of a trace of its own that points to this `traceparent`: for work long after its cause. */
  readonly link?: string | undefined;
  readonly attributes?: Attributes;
}

/** A span that its opener ends: for hot paths, where a wrapper around the work would cost more than the span. */
export interface OpenSpan {
  /** The W3C `traceparent` for calls made under this span; undefined when nothing is traced. */
  readonly traceparent: string | undefined;
  /** Runs `work` with this span as the active one. */
  within<T>(work: () => T): T;
  /** Ends the span, once; with an error it is marked as failed. */
  end(error?: unknown): void;
}

/** The context under a span; the parent's own where nothing is traced, which most calls are. */
const under = (span: Span, parent: Context): Context =>
  span.spanContext() === INVALID_SPAN_CONTEXT ? parent : trace.setSpan(parent, span);

class Opened implements OpenSpan {
  readonly #context: Context;
  readonly #span: Span;

  constructor(span: Span, parent: Context) {
    this.#span = span;
    this.#context = under(span, parent);
  }

  get traceparent(): string | undefined {
    return currentTraceparent(this.#context);
  }

  within<T>(work: () => T): T {
    return context.with(this.#context, work);
  }

  end(error?: unknown): void {
    if (error !== undefined) {
      this.#span.setStatus({
        code: SpanStatusCode.ERROR,
        message: error instanceof Error ? error.message : String(error),
      });
    }
    this.#span.end();
  }
}

/** Opens a span that must be ended by hand. Costs next to nothing without an SDK. */
export const openSpan = (name: string, options: SpanOptions): OpenSpan => {
  const parent = options.traceparent === undefined ? context.active() : contextFrom(options.traceparent);
  const span = tracer.startSpan(
    name,
    { kind: options.kind ?? SpanKind.INTERNAL, attributes: options.attributes ?? {} },
    parent,
  );
  return new Opened(span, parent);
};

/** Runs `work` inside a span; a rejection is recorded and passed on. Costs next to nothing without an SDK. */
export const withSpan = async <T>(
  name: string,
  options: SpanOptions,
  work: (span: Span) => Promise<T> | T,
): Promise<T> => {
  const parent = options.traceparent === undefined ? context.active() : contextFrom(options.traceparent);
  const linked = options.link === undefined ? undefined : trace.getSpanContext(contextFrom(options.link));
  const span = tracer.startSpan(
    name,
    {
      kind: options.kind ?? SpanKind.INTERNAL,
      attributes: options.attributes ?? {},
      ...(linked && { root: true, links: [{ context: linked }] }),
    },
    parent,
  );
  return context.with(linked ? trace.setSpan(parent, span) : under(span, parent), async () => {
    try {
      return await work(span);
    } catch (error) {
      span.setStatus({
        code: SpanStatusCode.ERROR,
        message: error instanceof Error ? error.message : String(error),
      });
      throw error;
    } finally {
      span.end();
    }
  });
};
