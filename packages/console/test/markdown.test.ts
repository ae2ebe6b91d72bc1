import { describe, expect, it } from 'vitest';
import { createSSRApp, h } from 'vue';
import { renderToString } from 'vue/server-renderer';
import MarkdownText from '../src/markdown/MarkdownText.ts';
import { parseMarkdown } from '../src/markdown/parse.ts';

const html = async (text: string): Promise<string> => {
  const out = await renderToString(
    createSSRApp(() => h(MarkdownText, { text, copy: 'Copy', copied: 'Copied' })),
  );
  return out.replace(/<!--.*?-->/g, '').replace(/^<div class="md">|<\/div>$/g, '');
};

describe('markdown', () => {
  it('makes paragraphs, breaks, emphasis and inline code', async () => {
    expect(await html('One **two** *three*\nfour `a*b*`\n\nfive')).toBe(
      '<p>One <strong>two</strong> <em>three</em><br>four <code>a*b*</code></p><p>five</p>',
    );
  });

  it('makes lists, nested and numbered', async () => {
    expect(await html('1. a\n2. b\n   - c\n   - d\n3. e')).toBe(
      '<ol start="1"><li>a</li><li>b<ul><li>c</li><li>d</li></ul></li><li>e</li></ol>',
    );
  });

  it('keeps code as it is, also while its fence is still open', async () => {
    const out = await html('```ts\nconst a = "<b>";\n');
    expect(out).toContain('<code>const a = &quot;&lt;b&gt;&quot;;\n</code>');
    expect(parseMarkdown('```\nx\n```')[0]).toEqual({ kind: 'code', language: '', text: 'x', open: false });
    expect(parseMarkdown('```js\nx')[0]).toEqual({ kind: 'code', language: 'js', text: 'x', open: true });
  });

  it('makes headings, quotes and rules', async () => {
    expect(await html('# T\n> q\n---')).toBe('<h4>T</h4><blockquote><p>q</p></blockquote><hr>');
  });

  it('links only to places that cannot run anything', async () => {
    expect(await html('[ok](https://a.example/x)')).toContain(
      'href="https://a.example/x" target="_blank" rel="noopener noreferrer nofollow"',
    );
    for (const bad of [
      'javascript:alert(1)',
      'JaVaScRiPt:alert(1)',
      'data:text/html,x',
      '//evil.example',
      'vbscript:x',
    ]) {
      expect(await html(`[x](${bad})`)).not.toContain('<a');
    }
  });

  it('links bare addresses and leaves the punctuation after them', async () => {
    expect(await html('See https://a.example/b?c=d, please。')).toContain(
      '>https://a.example/b?c=d</a>, please。',
    );
    expect(await html('见https://a.example/中。')).toContain('>https://a.example/中</a>。');
  });

  it('never makes markup of text', async () => {
    const out = await html('<img src=x onerror=alert(1)> <script>alert(1)</script>');
    expect(out).not.toMatch(/<img|<script/);
    expect(out).toContain('&lt;img');
  });

  it('leaves lone marks, snake_case and arithmetic alone', async () => {
    expect(await html('a * b, snake_case_name, 2*3*4 **open')).not.toMatch(/<strong|<em>snake|<em> /);
    expect(await html('snake_case_name')).toBe('<p>snake_case_name</p>');
  });

  it('survives deep nesting and long runs quickly', () => {
    const started = performance.now();
    parseMarkdown('> '.repeat(5_000));
    parseMarkdown('*'.repeat(20_000));
    parseMarkdown('[a]('.repeat(5_000));
    parseMarkdown('`'.repeat(20_001));
    parseMarkdown('_a '.repeat(10_000));
    parseMarkdown('- a\n'.repeat(5_000));
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});
