import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../run.ts';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const page = read('docs/reference/promises.md');

/** Rows of the tables: the file of a test and its title. */
const rows = [...page.matchAll(/^\| `([^`]+)` \| (.+?) \|$/gm)].map(([, file = '', title = '']) => ({
  file,
  title,
}));

/** Whether a test (or a group of tests) is called exactly that, in any of the ways to write a text. */
const has = (source: string, title: string): boolean =>
  ["'", '"', '`'].some((quote) =>
    source
      .split(`${quote}${title}${quote}`)
      .slice(0, -1)
      .some((before) => /\(\s*$/.test(before)),
  );

/** The list under a heading of a page, each item on one line. */
const bullets = (file: string, heading: string): string[] => {
  const [, section = ''] = read(file).split(`\n## ${heading}\n`);
  const [list = ''] = section.split(/\n## /);
  return list
    .split(/^- /m)
    .slice(1)
    .map((item) => (item.split('\n\n')[0] ?? '').replace(/\s+/g, ' ').trim());
};

describe('the page of promises', () => {
  it('names tests that exist', () => {
    expect(rows.length).toBeGreaterThan(40);
    const missing = rows.filter(
      ({ file, title }) => !existsSync(join(root, file)) || !has(read(file), title),
    );
    expect(missing).toEqual([]);
  });

  it('would notice a test that was renamed', () => {
    expect(has("  it('does this', () => {", 'does this')).toBe(true);
    expect(has("  it('does this now', () => {", 'does this')).toBe(false);
    expect(has("// it once said 'does this'", 'does this')).toBe(false);
  });

  it('has every promise of the README, with tests under it', () => {
    const promised = bullets('README.md', 'What it promises');
    expect(promised.length).toBeGreaterThan(0);
    for (const promise of promised) {
      const [, under = ''] = page.split(`\n### ${promise}\n`);
      expect(under.split('\n#')[0], promise).toContain('| `');
    }
  });

  it('has every promise of SECURITY.md by its first words, with tests under it', () => {
    const promised = bullets('SECURITY.md', 'What you may rely on').map(
      (promise) => /^\*\*(.+?)\*\*/.exec(promise)?.[1] ?? promise,
    );
    expect(promised).toContain('Logs, spans and events');
    const [, chapter = ''] = page.split('\n## Of SECURITY.md\n');
    for (const promise of promised) {
      const [, under = ''] = (chapter.split('\n## ')[0] ?? '').split(`\n### ${promise}\n`);
      expect(under.split('\n#')[0], promise).toContain('| `');
    }
  });
});
