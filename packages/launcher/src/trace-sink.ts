import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import type { Service } from '@skein/service-kit';
import { type SinkSpan, traceTree } from './trace-tree.ts';

/** An OTLP/HTTP endpoint (JSON encoding) that keeps the newest spans in memory, for a look on one machine. */
export interface TraceSink extends Service {
  /** What OTEL_EXPORTER_OTLP_ENDPOINT is set to. Known after `run`. */
  readonly url: string;
  /** Spans of one trace in the order they came; empty when it is not known (any more). */
  trace(traceId: string): readonly SinkSpan[];
  /** Every span that is kept, in the order they came. */
  spans(): readonly SinkSpan[];
}

/** The oldest go first: some minutes of a busy mesh, about 10 MB. */
export const maxSpans = 20_000;
/** An exporter sends at most 512 spans at once. */
const maxBodyBytes = 16 * 1024 * 1024;
/** Traces in the list; the newest. */
const listed = 50;

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
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBodyBytes) throw new Error('too large');
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  return request.headers['content-encoding'] === 'gzip'
    ? gunzipSync(body, { maxOutputLength: maxBodyBytes })
    : body;
};

/** The span a trace began with: its parts arrive in any order. */
const beginning = (spans: readonly SinkSpan[]): SinkSpan | undefined =>
  spans.reduce<SinkSpan | undefined>(
    (first, span) => (first && first.startNs <= span.startNs ? first : span),
    undefined,
  );

/**
 * Starts the endpoint on loopback; port 0 lets the system choose. `GET /` lists the newest traces, `GET
 * /trace/<id>` shows one as a tree. What it cannot read it answers with 400.
 */
export const traceSink = (port: number): TraceSink => {
  let kept: readonly SinkSpan[] = [];
  let url = '';
  const trace = (traceId: string) => kept.filter((span) => span.traceId === traceId);

  const list = (): string =>
    [...Map.groupBy(kept, (span) => span.traceId)]
      .slice(-listed)
      .reverse()
      .map(([id, spans]) => {
        const services = new Set(spans.map((span) => span.service)).size;
        return `/trace/${id}  ${spans.length} spans, ${services} services, ${beginning(spans)?.name ?? ''}\n`;
      })
      .join('');

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = request.url ?? '/';
    if (request.method === 'GET') {
      const asked = /^\/trace\/([0-9a-f]{32})$/.exec(path)?.[1];
      response.setHeader('content-type', 'text/plain; charset=utf-8');
      response.end(asked ? `${traceTree(trace(asked)) || 'No such trace.'}\n` : list());
      return;
    }
    const body = await readBody(request);
    // Metrics and logs are taken and dropped.
    if (path === '/v1/traces')
      kept = kept.concat(spansOf(JSON.parse(body.toString('utf8')) as OtlpBody)).slice(-maxSpans);
    response.setHeader('content-type', 'application/json');
    response.end('{}');
  };

  const server = createServer((request, response) => {
    answer(request, response).catch(() => {
      response.statusCode = 400;
      // Unread input would otherwise be waited for.
      response.setHeader('connection', 'close');
      response.end();
    });
  });
  return {
    id: 'traces',
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
