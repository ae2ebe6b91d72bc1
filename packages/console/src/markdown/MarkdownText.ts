import { defineComponent, h, ref, type VNode, type VNodeChild } from 'vue';
import { type Block, type Inline, parseMarkdown } from './parse.ts';
import './markdown.css';

/**
 * Markdown as virtual nodes: text only ever becomes text nodes and a fixed set of elements, so no answer can
 * bring markup of its own. A streaming answer ends with a caret.
 */
export default defineComponent({
  name: 'MarkdownText',
  props: {
    text: { type: String, required: true },
    streaming: { type: Boolean, default: false },
    /** Labels of the button on code. */
    copy: { type: String, required: true },
    copied: { type: String, required: true },
  },
  setup(props) {
    const done = ref('');
    const copyText = async (text: string): Promise<void> => {
      try {
        await navigator.clipboard.writeText(text);
        done.value = text;
        setTimeout(() => {
          if (done.value === text) done.value = '';
        }, 1_500);
      } catch {
        // No clipboard without a secure context; the code can still be selected.
      }
    };
    const code = (block: Extract<Block, { kind: 'code' }>): VNode =>
      h('div', { class: 'md-code' }, [
        h('div', { class: 'md-code-bar' }, [
          h('span', block.language),
          h(
            'button',
            { type: 'button', class: 'text-button', onClick: () => void copyText(block.text) },
            done.value === block.text ? props.copied : props.copy,
          ),
        ]),
        h('pre', { tabindex: 0 }, [h('code', block.text)]),
      ]);
    return () =>
      h(
        'div',
        { class: ['md', { 'md-streaming': props.streaming }] },
        parseMarkdown(props.text).map((block) => drawBlock(block, code)),
      );
  },
});

type DrawCode = (block: Extract<Block, { kind: 'code' }>) => VNode;

function drawBlock(block: Block, code: DrawCode): VNode {
  switch (block.kind) {
    case 'paragraph':
      return h('p', block.parts.map(drawInline));
    case 'heading':
      // The page has its own first three levels.
      return h(`h${Math.min(block.level + 3, 6)}`, block.parts.map(drawInline));
    case 'code':
      return code(block);
    case 'quote':
      return h(
        'blockquote',
        block.blocks.map((inner) => drawBlock(inner, code)),
      );
    case 'rule':
      return h('hr');
    case 'list': {
      const items = block.items.map((item) => h('li', tight(item, code)));
      return block.ordered ? h('ol', { start: block.start }, items) : h('ul', items);
    }
  }
}

/** A list item's first paragraph stands without the space around a paragraph. */
function tight(item: readonly Block[], code: DrawCode): VNodeChild[] {
  const [first, ...rest] = item;
  if (first?.kind !== 'paragraph') return item.map((block) => drawBlock(block, code));
  return [...first.parts.map(drawInline), ...rest.map((block) => drawBlock(block, code))];
}

function drawInline(part: Inline): VNodeChild {
  switch (part.kind) {
    case 'text':
      return part.text;
    case 'code':
      return h('code', part.text);
    case 'break':
      return h('br');
    case 'link':
      return h(
        'a',
        { href: part.href, target: '_blank', rel: 'noopener noreferrer nofollow' },
        part.parts.map(drawInline),
      );
    case 'strong':
    case 'em':
      return h(part.kind, part.parts.map(drawInline));
  }
}
