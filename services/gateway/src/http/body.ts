import type { IncomingMessage } from 'node:http';
import { AppError } from '@skein/contracts';
import { type ParsedJson, readStrictJson } from './strict-json.ts';

/** Largest bodies in bytes: most calls are small, messages and mutations carry documents. */
export const bodyLimits = { small: 100_000, large: 1_000_000 } as const;

const jsonType = /^application\/(?:[a-z0-9.+-]+\+)?json(?:\s*;|$)/i;

const tooLarge = (limit: number) => new AppError('too_large', `The body is larger than ${limit} bytes`);

/** Keeps at most `limit` bytes. */
const readBytes = (req: IncomingMessage, limit: number): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const done = (settle: () => void) => {
      req.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone);
      settle();
    };
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size > limit) {
        done(() => reject(tooLarge(limit)));
        // The rest is thrown away as it comes, at most until the request times out: a client that is cut off
        // in the middle of its upload would never see the answer.
        req.resume();
      } else {
        chunks.push(chunk);
      }
    };
    const onEnd = () => done(() => resolve(Buffer.concat(chunks, size)));
    const onGone = () => done(() => reject(new AppError('cancelled', 'The body ended early')));
    req.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone);
  });

/**
 * The JSON body of a request, undefined when there is none. AppError `unsupported_media_type` for other content
 * types and for compressed bodies, `too_large` above the limit, and those of `readStrictJson`.
 */
export const readJsonBody = async (req: IncomingMessage, limit: number): Promise<ParsedJson | undefined> => {
  const announced = Number(req.headers['content-length'] ?? 0);
  if (announced > limit) throw tooLarge(limit);
  if (announced === 0 && req.headers['transfer-encoding'] === undefined) return undefined;
  if (!jsonType.test(req.headers['content-type'] ?? '')) {
    throw new AppError('unsupported_media_type', 'Send application/json');
  }
  const encoding = req.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new AppError('unsupported_media_type', 'Send the body without a content encoding');
  }
  const bytes = await readBytes(req, limit);
  return bytes.length === 0 ? undefined : readStrictJson(bytes);
};
