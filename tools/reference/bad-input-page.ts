import type { Problem } from '../../test/e2e/bad-input/answers.ts';
import { type Sent, shown } from '../../test/e2e/bad-input/bytes.ts';
import { componentCases } from '../../test/e2e/bad-input/component-cases.ts';
import { connectionCases } from '../../test/e2e/bad-input/connection-cases.ts';
import { credentialCases } from '../../test/e2e/bad-input/credential-cases.ts';
import { classicFrames, connectFrames, type FrameCase } from '../../test/e2e/bad-input/frame-cases.ts';
import { configurationCases, databaseCases } from '../../test/e2e/bad-input/process-cases.ts';
import {
  foreignRequests,
  misshapenRequests,
  type RequestCase,
  unreadableRequests,
} from '../../test/e2e/bad-input/request-cases.ts';
import { wireCases } from '../../test/e2e/bad-input/wire-cases.ts';
import { cell, code, page, table } from './markdown.ts';

const maxShown = 160;

/** As code in a cell: a bar would end the cell, a line break the row. */
const sent = (bytes: Sent): string => {
  const text = shown(bytes).replaceAll('\r\n', '⏎').replaceAll('`', '´');
  return code(text.length > maxShown ? `${text.slice(0, maxShown)}…` : text);
};

const problemText = ({ status, code: name, detail, errors }: Problem): string => {
  const fields = (errors ?? []).map(({ path, message }) => `${path || '(body)'}: ${message}`).join('; ');
  return `${status} ${code(name)} ${cell(fields === '' || detail.includes(fields) ? detail : fields)}`;
};

const requestTable = (rows: readonly RequestCase[]): string =>
  table(
    ['what', 'sent', 'answer'],
    rows.map((row) => [
      cell(row.what),
      [
        code(`${row.method ?? 'POST'} ${row.path}`),
        ...Object.entries(row.headers ?? {}).map(([name, value]) => code(`${name}: ${value}`)),
        ...(row.body === undefined ? [] : [sent(row.body)]),
      ].join(' '),
      problemText(row.answer),
    ]),
  );

const errorText = (error: object | undefined): string => {
  if (!error) return '';
  const { error: classic, ...frame } = error as { error?: object; code?: string; message?: string };
  const { code: name, message } = (classic ?? frame) as { code: string; message: string };
  return `error ${code(name)} ${cell(message)}`;
};

const frameTable = (rows: readonly FrameCase[]): string =>
  table(
    ['when', 'what', 'sent', 'answer', 'socket'],
    rows.map(({ when, what, frame, error, close }) => [
      when === 'first' ? 'first frame' : 'open',
      cell(what),
      sent(frame),
      errorText(error),
      close === undefined ? 'stays' : `closes with ${close}`,
    ]),
  );

const answers = (rows: readonly { readonly what: string; readonly answer: string }[]): string =>
  table(
    ['what', 'what happens'],
    rows.map(({ what, answer }) => [cell(what), cell(answer)]),
  );

/** What the product does with bad input, from the tables that the end-to-end tests run. */
export const badInputPage = (): string =>
  page(
    'Bad input',
    'test/e2e/bad-input/*-cases.ts',
    `Every row is a test on a running mesh, and the answer is compared whole. Errors of REST, SSE and poll are
\`application/problem+json\` with the title of their code ([errors](errors.md)), its \`retryable\` and a \`traceId\`; reasons of
closes are JSON. Names in braces stand for ids and tokens of the test; \`…\` shortens.`,
    '## Requests that cannot be read',
    requestTable(unreadableRequests),
    '## Requests of the wrong shape',
    requestTable(misshapenRequests),
    '## What belongs to somebody else',
    requestTable(foreignRequests),
    '## Bytes that are no request',
    table(
      ['what', 'sent', 'answer, then the end of the connection'],
      wireCases.map(({ what, bytes, answer }) => [
        cell(what),
        sent(bytes),
        `${answer.status} ${code(answer.code)} ${cell(answer.detail)}`,
      ]),
    ),
    '## Credentials',
    `The same on every door: \`GET /v1/me\`, \`/v1/stream\` and \`/v1/poll\` answer 401, \`/v1/connect\` and \`/ws/{user_id}\` send
the error and close with 4001. A ticket opens one socket or stream; used again it is \`ticket_invalid\`.`,
    table(
      ['a token that is', 'code', 'detail'],
      credentialCases.map(({ what, code: name, detail }) => [cell(what), code(name), cell(detail)]),
    ),
    '## Frames of `/v1/connect`',
    frameTable(connectFrames),
    '## Frames of `/ws/{user_id}`',
    frameTable(classicFrames),
    '## Peers that hold connections',
    answers(Object.values(connectionCases)),
    '## Wrong configuration',
    'Exit code 78 before anything is opened; values of secrets and URLs are not shown.',
    ...configurationCases.map(
      ({ what, service, says }) => `${what} (\`skein-${service}\`):\n\n\`\`\`text\n${says.trimEnd()}\n\`\`\``,
    ),
    '## Parts that are away',
    answers([...Object.values(databaseCases), ...Object.values(componentCases)]),
  );
