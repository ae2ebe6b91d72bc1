import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import type { Service } from '@skein/service-kit';

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

/** An OTLP/HTTP endpoint (JSON encoding) that keeps the newest spans in memory, for a look on one machine. */
export interface TraceSink extends Service {
  /** What OTEL_EXPORTER_OTLP_ENDPOINT is set to. */
  readonly url: string;
  /** Spans of one trace, oldest first; empty when it is not known (any more). */
  trace(traceId: string): readonly SinkSpan[];
  /** Every span that is kept, oldest first. */
  spans(): readonly SinkSpan[];
}

/** The oldest go first: some minutes of a busy mesh, about 10 MB. */
const maxSpans = 20_000;
const maxBody = 16 * 1024 * 1024;

interface OtlpSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  status?: { code?: number };
}
interface OtlpBody {
  resourceSpans?: {
    resource?: { attributes?: { key: string; value?: { stringValue?: string } }[] };
    scopeSpans?: { spans?: OtlpSpan[] }[];
  }[];
}

const statusError = 2;

const spansOf = (body: OtlpBody): SinkSpan[] =>
  (body.resourceSpans ?? []).flatMap((part) => {
    const service =
      part.resource?.attributes?.find((one) => one.key === 'service.name')?.value?.stringValue ?? 'unknown';
    return (part.scopeSpans ?? []).flatMap((scope) =>
      (scope.spans ?? []).map((span) => ({
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? '',
        service,
        name: span.name,
        startNs: BigInt(span.startTimeUnixNano),
        endNs: BigInt(span.endTimeUnixNano),
        failed: span.status?.code === statusError,
      })),
    );
  });

const readBody = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > maxBody) throw new Error('too large');
    chunks.push(chunk as Buffer);
  }
  const body = Buffer.concat(chunks);
  return request.headers['content-encoding'] === 'gzip'
    ? gunzipSync(body, { maxOutputLength: maxBody })
    : body;
};

/** A trace as an indented tree: service, span, milliseconds after the start, milliseconds long. */
export const traceTree = (spans: readonly SinkSpan[]): string => {
  const known = new Set(spans.map((span) => span.spanId));
  const byParent = Map.groupBy(spans, (span) => (known.has(span.parentSpanId) ? span.parentSpanId : ''));
  const ms = (ns: bigint) => (Number(ns) / 1e6).toFixed(1);
  const origin = spans.map((span) => span.startNs).sort((a, b) => Number(a - b))[0] ?? 0n;
  const lines = (parent: string, depth: number): string[] =>
    [...(byParent.get(parent) ?? [])]
      .sort((a, b) => Number(a.startNs - b.startNs))
      .flatMap((span) => [
        `${'  '.repeat(depth)}${span.service}  ${span.name}  +${ms(span.startNs - origin)} ms  ${ms(span.endNs - span.startNs)} ms${span.failed ? '  failed' : ''}`,
        ...lines(span.spanId, depth + 1),
      ]);
  return lines('', 0).join('\n');
};

/** Starts the endpoint on loopback. `GET /` lists the newest traces, `GET /trace/<id>` shows one as a tree. */
export const traceSink = (port: number): TraceSink => {
  let kept: SinkSpan[] = [];
  let url = '';
  const trace = (traceId: string) => kept.filter((span) => span.traceId === traceId);

  const page = (path: string): string => {
    const asked = /^\/trace\/([0-9a-f]{32})$/.exec(path)?.[1];
    if (asked) return `${traceTree(trace(asked)) || 'No such trace.'}\n`;
    const counts = Map.groupBy(kept, (span) => span.traceId);
    return [...counts]
      .slice(-50)
      .reverse()
      .map(([id, spans]) => {
        const services = new Set(spans.map((span) => span.service)).size;
        return `/trace/${id}  ${spans.length} spans, ${services} services, ${spans[0]?.name ?? ''}\n`;
      })
      .join('');
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.method === 'GET') {
      response.setHeader('content-type', 'text/plain; charset=utf-8');
      response.end(page(request.url ?? '/'));
      return;
    }
    const body = await readBody(request);
    if (request.url === '/v1/traces') {
      kept.push(...spansOf(JSON.parse(body.toString('utf8')) as OtlpBody));
      if (kept.length > maxSpans) kept = kept.slice(-maxSpans);
    }
    response.setHeader('content-type', 'application/json');
    response.end('{}');
  };

  const server = createServer((request, response) => {
    answer(request, response).catch(() => {
      response.statusCode = 400;
      response.end();
    });
  });
  return {
    id: 'trace-sink',
    get url() {
      return url;
    },
    trace,
    spans: () => kept,
    run: () =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, '127.0.0.1', () => {
          url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
          resolve();
        });
      }),
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
};
