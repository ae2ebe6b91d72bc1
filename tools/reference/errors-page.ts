import { errorTable, grpcStatus } from '../../packages/contracts/src/index.ts';
import { code, page, table } from './markdown.ts';

/** `deadlineExceeded` as gRPC writes it: `DEADLINE_EXCEEDED`. */
const statusName = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();

const statusNames = new Map<number, string>(
  Object.entries(grpcStatus).map(([name, number]) => [number, statusName(name)]),
);

/** The closed table of faults. */
export const errorsPage = (): string =>
  page(
    'Errors',
    'packages/contracts/src/errors.ts',
    `Every fault has one code of this table, and looks the same on every wire: REST answers with the HTTP status and an
\`application/problem+json\` body, frames are \`error\` frames, gRPC carries \`google.rpc.ErrorInfo\` with the code as
\`reason\` and the domain \`skein\`. Codes are stable: a retired one is never used again with another meaning. What a client
does about them: [PROTOCOL.md](../PROTOCOL.md#errors).

*Retry* says whether the same request may succeed later; wait \`retryAfterMs\` when it is there, otherwise back off.`,
    table(
      ['code', 'HTTP', 'gRPC', 'retry', 'meaning'],
      Object.entries(errorTable).map(([name, row]) => [
        code(name),
        String(row.http),
        statusNames.get(row.grpc) ?? String(row.grpc),
        row.retryable ? 'yes' : '',
        row.title,
      ]),
    ),
  );
