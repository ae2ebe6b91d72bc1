import { PassThrough } from 'node:stream';
import { finished } from 'node:stream/promises';
import { expect, it } from 'vitest';
import { eachLine, maxLineLength } from '../src/lines.ts';

const linesOf = async (...chunks: (string | Buffer)[]): Promise<string[]> => {
  const stream = new PassThrough();
  const lines: string[] = [];
  eachLine(stream, (line) => lines.push(line));
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await finished(stream);
  return lines;
};

it('passes on every line, wherever the chunks are cut, and the last one without an end', async () => {
  expect(await linesOf('a\nb', 'c\n\nd', 'e')).toEqual(['a', 'bc', 'de']);
});

it('puts characters together that are cut between chunks', async () => {
  const bytes = Buffer.from('grün\n');
  expect(await linesOf(bytes.subarray(0, 3), bytes.subarray(3))).toEqual(['grün']);
});

it('cuts what is longer than a line may be, and goes on with the next', async () => {
  const [long, next] = await linesOf('x'.repeat(maxLineLength), 'yyy', 'zzz\nnext\n');
  expect(long).toBe('x'.repeat(maxLineLength));
  expect(next).toBe('next');
});
