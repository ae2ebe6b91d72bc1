import type { Readable } from 'node:stream';

/** The longest line that is passed on; of a longer one the rest is cut. */
export const maxLineLength = 16_384;

/** Passes on every line of a stream that is not empty, the last one without its end too. */
export const eachLine = (stream: Readable, told: (line: string) => void): void => {
  let line = '';
  const flush = () => {
    if (line !== '') told(line);
    line = '';
  };
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    chunk.split('\n').forEach((part, at) => {
      if (at > 0) flush();
      line = (line + part).slice(0, maxLineLength);
    });
  });
  stream.on('end', flush);
};
