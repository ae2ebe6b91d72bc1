/** A run of text inside a block. Links lead to http, https or mailto only. */
export type Inline =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'code'; readonly text: string }
  | { readonly kind: 'strong' | 'em'; readonly parts: readonly Inline[] }
  | { readonly kind: 'link'; readonly href: string; readonly parts: readonly Inline[] }
  | { readonly kind: 'break' };

/** A block of an answer. */
export type Block =
  | { readonly kind: 'paragraph'; readonly parts: readonly Inline[] }
  | { readonly kind: 'heading'; readonly level: number; readonly parts: readonly Inline[] }
  | { readonly kind: 'code'; readonly language: string; readonly text: string; readonly open: boolean }
  | {
      readonly kind: 'list';
      readonly ordered: boolean;
      readonly start: number;
      readonly items: readonly (readonly Block[])[];
    }
  | { readonly kind: 'quote'; readonly blocks: readonly Block[] }
  | { readonly kind: 'rule' };

/** Nesting of quotes and lists; deeper ones stay text, so that no answer can exhaust the stack. */
const depthMax = 6;

const fence = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)[^`]*$/;
const heading = /^ {0,3}(#{1,6})\s+(.+?)\s*#*$/;
const rule = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const bullet = /^( *)([-*+]|(\d{1,9})[.)])\s+(.*)$/;
const quote = /^ {0,3}> ?(.*)$/;

/**
 * Reads the small part of Markdown that assistants write. It never fails: what it does not know stays text. An
 * answer that is still streaming is read as if it ended here, so a fence not closed yet is already code.
 */
export function parseMarkdown(text: string, depth = 0): readonly Block[] {
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  const blocks: Block[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at] ?? '';
    if (line.trim() === '') {
      at++;
      continue;
    }
    const opened = fence.exec(line);
    if (opened?.[1] !== undefined) {
      const mark = opened[1];
      const end = lines.findIndex((l, i) => i > at && isClosing(l, mark));
      const stop = end < 0 ? lines.length : end;
      const body = lines.slice(at + 1, stop).join('\n');
      blocks.push({ kind: 'code', language: opened[2] ?? '', text: body, open: end < 0 });
      at = stop + 1;
      continue;
    }
    const title = heading.exec(line);
    if (title !== null) {
      blocks.push({ kind: 'heading', level: (title[1] ?? '#').length, parts: parseInline(title[2] ?? '') });
      at++;
      continue;
    }
    if (rule.test(line)) {
      blocks.push({ kind: 'rule' });
      at++;
      continue;
    }
    if (depth < depthMax && quote.test(line)) {
      const quoted = takeWhile(lines, at, (l) => quote.test(l));
      const inner = quoted.map((l) => quote.exec(l)?.[1] ?? '').join('\n');
      blocks.push({ kind: 'quote', blocks: parseMarkdown(inner, depth + 1) });
      at += quoted.length;
      continue;
    }
    if (depth < depthMax && bullet.test(line)) {
      const { block, taken } = readList(lines, at, depth);
      blocks.push(block);
      at += taken;
      continue;
    }
    const paragraph = [line, ...takeWhile(lines, at + 1, (l) => !startsBlock(l, depth))];
    blocks.push({ kind: 'paragraph', parts: parseInline(paragraph.join('\n')) });
    at += paragraph.length;
  }
  return blocks;
}

/** Reads emphasis, code, links and bare addresses; a line end inside is a break, as people mean it in chat. */
export function parseInline(text: string, depth = 0): readonly Inline[] {
  const parts: Inline[] = [];
  let plain = '';
  const flush = (): void => {
    if (plain !== '') parts.push({ kind: 'text', text: plain });
    plain = '';
  };
  let at = 0;
  while (at < text.length) {
    const found = depth < depthMax ? inlineAt(text, at, depth) : undefined;
    if (found === undefined) {
      plain += text[at];
      at++;
      continue;
    }
    flush();
    parts.push(found.part);
    at += found.length;
  }
  flush();
  return parts;
}

interface Found {
  readonly part: Inline;
  readonly length: number;
}

const patterns: { readonly [first: string]: RegExp } = {
  '`': /(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)/y,
  '*': /(\*\*|\*)(?=\S)((?:(?!\1)[^\n])*?[^\s*])\1(?!\*)/y,
  _: /(__|_)(?=\S)((?:(?!\1)[^\n])*?[^\s_])\1(?![\p{L}\p{N}_])/uy,
  '[': /\[([^\]\n]{1,500})\]\(\s*(\S{1,2000}?)(?:\s+"[^"\n]*")?\s*\)/y,
  h: /https?:\/\/[^\s<>"'`)\]，。；：！？、）】》]+[^\s<>"'`)\].,;:!?，。；：！？、）】》]/y,
};

function inlineAt(text: string, at: number, depth: number): Found | undefined {
  const first = text[at] ?? '';
  if (first === '\n') return { part: { kind: 'break' }, length: 1 };
  if (first === '\\' && /[\\`*_[\]()#>~.!+-]/.test(text[at + 1] ?? '')) {
    return { part: { kind: 'text', text: text[at + 1] ?? '' }, length: 2 };
  }
  const pattern = patterns[first];
  if (pattern === undefined) return undefined;
  // Underscores and addresses inside words are part of the word.
  if ((first === '_' || first === 'h') && /[\p{L}\p{N}_]/u.test(text[at - 1] ?? '') && !isWide(text[at - 1]))
    return undefined;
  pattern.lastIndex = at;
  const match = pattern.exec(text);
  if (match === null) return undefined;
  const length = match[0].length;
  if (first === '`')
    return { part: { kind: 'code', text: (match[2] ?? '').replace(/^ (.*) $/, '$1') }, length };
  if (first === 'h')
    return { part: { kind: 'link', href: match[0], parts: [{ kind: 'text', text: match[0] }] }, length };
  if (first === '[') {
    const href = safeHref(match[2] ?? '');
    const parts = parseInline(match[1] ?? '', depth + 1).map((p) =>
      p.kind === 'link' ? { kind: 'text' as const, text: p.href } : p,
    );
    return href === undefined ? undefined : { part: { kind: 'link', href, parts }, length };
  }
  const kind = (match[1] ?? '').length === 2 ? 'strong' : 'em';
  return { part: { kind, parts: parseInline(match[2] ?? '', depth + 1) }, length };
}

/** The address when it leads somewhere harmless; `javascript:` and the like do not. */
export function safeHref(raw: string): string | undefined {
  if (!/^(https?:\/\/|mailto:)/i.test(raw)) return undefined;
  return URL.canParse(raw) ? raw : undefined;
}

function isWide(character: string | undefined): boolean {
  return /[\u2e80-\u9fff\uac00-\ud7af\uff00-\uffef]/.test(character ?? '');
}

function isClosing(line: string, mark: string): boolean {
  const trimmed = line.trim();
  return trimmed.length >= mark.length && trimmed === (mark[0] ?? '`').repeat(trimmed.length);
}

function startsBlock(line: string, depth: number): boolean {
  if (line.trim() === '' || fence.test(line) || heading.test(line) || rule.test(line)) return true;
  return depth < depthMax && (quote.test(line) || bullet.test(line));
}

function takeWhile(
  lines: readonly string[],
  from: number,
  keep: (line: string) => boolean,
): readonly string[] {
  const end = lines.findIndex((line, i) => i >= from && !keep(line));
  return lines.slice(from, end < 0 ? lines.length : end);
}

function readList(lines: readonly string[], from: number, depth: number): { block: Block; taken: number } {
  const first = bullet.exec(lines[from] ?? '');
  const indent = (first?.[1] ?? '').length;
  const ordered = first?.[3] !== undefined;
  const items: string[][] = [];
  let at = from;
  for (; at < lines.length; at++) {
    const line = lines[at] ?? '';
    const own = bullet.exec(line);
    const depthHere = line.length - line.trimStart().length;
    if (own !== null && (own[1] ?? '').length <= indent + 1) {
      if ((own[1] ?? '').length < indent || (own[3] !== undefined) !== ordered) break;
      items.push([own[4] ?? '']);
    } else if (line.trim() === '') {
      const after = lines[at + 1] ?? '';
      const goesOn =
        after.startsWith(' '.repeat(indent + 2)) || (bullet.exec(after)?.[1] ?? '-').length === indent;
      if (after.trim() === '' || !goesOn) break;
      items.at(-1)?.push('');
    } else if (depthHere > indent + 1) {
      items.at(-1)?.push(line.slice(Math.min(depthHere, indent + (ordered ? 3 : 2))));
    } else if (startsBlock(line, depth)) break;
    else items.at(-1)?.push(line);
  }
  const blocks = items.map((item) => parseMarkdown(item.join('\n'), depth + 1));
  return {
    block: { kind: 'list', ordered, start: Number(first?.[3] ?? 1), items: blocks },
    taken: Math.max(1, at - from),
  };
}
