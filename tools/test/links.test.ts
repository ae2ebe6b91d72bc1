import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../run.ts';

const pages = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], {
  cwd: root,
})
  .toString()
  .split('\n')
  // Deleted but not yet committed files are still listed.
  .filter((file) => file !== '' && existsSync(join(root, file)));

/** Text as it is shown, without what is inside code. */
const prose = (path: string): string =>
  readFileSync(join(root, path), 'utf8')
    .replace(/^```.*?^```$/gms, '')
    .replace(/`[^`\n]*`/g, (code) => code.slice(1, -1));

/** The anchors of a page's headings, as GitHub makes them. */
const anchors = (path: string): Set<string> =>
  new Set(
    [...prose(path).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );

/** Links of a page to places in this repository that are not there. */
const broken = (page: string): string[] =>
  [...prose(page).matchAll(/\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].flatMap(
    ([link, path = '', anchor]) => {
      const target = path === '' ? page : join(dirname(page), path);
      if (!existsSync(join(root, target))) return [`${page}: ${link}`];
      return anchor && target.endsWith('.md') && !anchors(target).has(anchor) ? [`${page}: ${link}`] : [];
    },
  );

describe('links between pages', () => {
  it('lead to files and headings that exist', () => {
    expect(pages.length).toBeGreaterThan(10);
    expect(pages.flatMap(broken)).toEqual([]);
  });
});
